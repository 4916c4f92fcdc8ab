import pytest

from optimizer.config import PRESETS, SearchConfig
from optimizer.estimate import (
    REPAIRS,
    CallRates,
    GateSize,
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


@pytest.mark.parametrize(
    ("size", "calls"),
    [
        (GateSize(queries=10, finalists=1, with_seed_prompt=False, judged_again=0), 50),
        (GateSize(queries=10, finalists=3, with_seed_prompt=True, judged_again=0), 110),
        (GateSize(queries=10, finalists=3, with_seed_prompt=True, judged_again=20), 130),
        (GateSize(queries=4, finalists=1, with_seed_prompt=False, judged_again=20), 28),
        (GateSize(queries=0, finalists=3, with_seed_prompt=True, judged_again=20), 20),
    ],
)
def test_the_gate_judges_every_contender_on_each_query_and_some_answers_again(
    size: GateSize, calls: int
) -> None:
    assert gate_calls(size) == calls


def test_the_gate_takes_more_where_more_score_an_answer() -> None:
    size = GateSize(queries=10, finalists=1, with_seed_prompt=False, judged_again=5)
    assert gate_calls(size, rates=CallRates(rollout=4, query=0)) == 2 * 10 * 4 + 5 * 3


@pytest.mark.parametrize("preset", ["paper", "mini"])
@pytest.mark.parametrize("held_out", [0, 30])
def test_the_calls_of_the_roles_add_up_to_those_of_the_job(preset: str, held_out: int) -> None:
    config = PRESETS[preset]
    gate = GateSize(queries=held_out, finalists=2, with_seed_prompt=False, judged_again=20)
    calls = calls_by_role(config, gate=gate).values()
    whole = search_calls(config)
    assert sum(role.expected for role in calls) == whole.expected + gate_calls(gate)
    most = sum(role.high for role in calls)
    assert (whole.maximum + gate_calls(gate)) * REPAIRS <= most <= (whole.maximum + 280) * REPAIRS + 4
    assert all(role.low <= role.expected <= role.high for role in calls)


def test_a_judge_of_the_gates_own_takes_what_the_other_one_would() -> None:
    gate = GateSize(queries=10, finalists=2, with_seed_prompt=True, judged_again=20)
    one, two = (calls_by_role(PRESETS["mini"], gate=gate, gate_judge=own) for own in (False, True))
    assert two[ModelRole.GATE_JUDGE].expected == 10 * 4 + 20
    assert ModelRole.GATE_JUDGE not in one
    assert one[ModelRole.JUDGE].expected == two[ModelRole.JUDGE].expected + two[ModelRole.GATE_JUDGE].expected


def test_scoring_without_a_judge_or_a_selector_calls_neither() -> None:
    gate = GateSize(queries=8, finalists=1, with_seed_prompt=False, judged_again=0)
    calls = calls_by_role(PRESETS["mini"], gate=gate, rates=CallRates(rollout=1, query=0))
    assert calls[ModelRole.JUDGE].high == calls[ModelRole.SELECTOR].high == 0


def test_reasons_are_calls_of_the_judge_for_each_request_to_the_proposer() -> None:
    gate = GateSize(queries=0, finalists=1, with_seed_prompt=False, judged_again=0)
    usual = calls_by_role(PRESETS["paper"], gate=gate)
    explained = calls_by_role(PRESETS["paper"], gate=gate, rates=CallRates(proposal=3))
    asked = usual[ModelRole.PROPOSER]
    more = explained[ModelRole.JUDGE].expected - usual[ModelRole.JUDGE].expected
    assert (more, explained[ModelRole.PROPOSER]) == (2 * asked.expected, asked)
    assert explained[ModelRole.JUDGE].low == usual[ModelRole.JUDGE].low
    whole = search_calls(PRESETS["paper"], rates=CallRates(proposal=3))
    assert whole.expected == search_calls(PRESETS["paper"]).expected + 2 * asked.expected
