import pytest

from optimizer.config import PRESETS, SearchConfig
from optimizer.estimate import (
    REPAIRS,
    CallRates,
    calls_by_role,
    gate_calls,
    round_calls,
    search_calls,
    seed_calls,
)
from optimizer.types import ModelRole

PAPER = PRESETS["paper"]


def test_the_rounds_of_the_paper() -> None:
    assert seed_calls(PAPER) == 3
    assert round_calls(PAPER, lineages=1, skipped=0) == 8
    assert round_calls(PAPER, lineages=2, skipped=0) == 15
    assert round_calls(PAPER, lineages=2, skipped=1) == 10
    assert round_calls(PAPER, lineages=2, skipped=2) == 5


def test_the_searches_of_the_paper() -> None:
    estimate = search_calls(PAPER)
    assert (estimate.expected, estimate.maximum) == (281, 381)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_minibatch_multiplies_everything_but_the_proposals(size: int) -> None:
    config = PAPER.model_copy(update={"minibatch_size": size})
    assert round_calls(config, lineages=2, skipped=0) - 2 == size * 13
    assert seed_calls(config) == size * 3


def test_a_beam_fills_up_over_the_rounds() -> None:
    config = SearchConfig(beam_width=5, proposals_per_candidate=2, depth=5, max_depth_increase=0)
    lineages = [1, 2, 4, 5]
    assert search_calls(config).expected == 3 + sum(count + 2 * 2 * count + 1 for count in lineages)
    assert search_calls(config).maximum == search_calls(config).expected


def test_the_gate_judges_two_prompts_on_each_query() -> None:
    assert gate_calls(10) == 50
    assert gate_calls(0) == 0


@pytest.mark.parametrize("preset", ["paper", "mini"])
@pytest.mark.parametrize("held_out", [0, 30])
def test_the_calls_of_the_roles_add_up_to_those_of_the_job(preset: str, held_out: int) -> None:
    config = PRESETS[preset]
    calls = calls_by_role(config, held_out=held_out).values()
    whole = search_calls(config)
    assert sum(role.expected for role in calls) == whole.expected + gate_calls(held_out)
    most = sum(role.high for role in calls)
    assert (whole.maximum + gate_calls(held_out)) * REPAIRS <= most <= (whole.maximum + 200) * REPAIRS + 4
    assert all(role.low <= role.expected <= role.high for role in calls)


def test_scoring_without_a_judge_or_a_selector_calls_neither() -> None:
    calls = calls_by_role(PRESETS["mini"], held_out=8, rates=CallRates(rollout=1, query=0))
    assert calls[ModelRole.JUDGE].high == calls[ModelRole.SELECTOR].high == 0
