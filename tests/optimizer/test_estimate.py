import pytest

from optimizer.config import PRESETS, SearchConfig
from optimizer.estimate import gate_calls, round_calls, search_calls, seed_calls

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
