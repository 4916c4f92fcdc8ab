"""What is left of a job, from records that say how far it is."""

from dataclasses import replace

import pytest

from app.jobs.spec import BudgetSpec, JobSpec
from app.optimizations.estimates import estimate_rest
from app.optimizations.schemas import Estimate
from optimizer.config import SearchConfig
from optimizer.gate_config import GateConfig
from store.records.optimizations import JobKind, OptimizationRecord, OptimizationStatus
from store.records.progress import RoundRecord
from store.repositories.search_tree import EvaluationCounts

SPEC = JobSpec(
    name=None,
    preset="mini",
    config=SearchConfig(
        beam_width=2, proposals_per_candidate=2, depth=4, max_depth_increase=2, minibatch_size=1
    ),
    seed_prompt="Be kind.",
    dataset_id="ds_1",
    example_bank_id=None,
    held_out=30,
    search_queries=6,
    held_out_queries=8,
    budget=BudgetSpec(),
    label=None,
    incumbent_version_id=None,
    gate=GateConfig(finalists=1, judged_again=0),
)
RECORD = OptimizationRecord(
    id="opt_1",
    kind=JobKind.PROMPT,
    spec={},
    target="simulated-small",
    status=OptimizationStatus.RUNNING,
    owner="w",
    fence=1,
    cancel_requested=False,
    last_seq=0,
    error=None,
    result=None,
    elapsed_seconds=0.0,
    created_at=0.0,
    started_at=0.0,
    finished_at=None,
)
NOTHING = EvaluationCounts(search=0, held_out=0, unscored=0, held_out_queries=0)
SEED, FIRST, FULL, GATE = 3, 6, 11, 40
"""Calls of the seed prompt, a round of one lineage, a round of two, and the gate on eight queries."""


def rounds_at(
    *times: float, rounds_left: int = 0, fences: tuple[int, ...] | None = None
) -> list[RoundRecord]:
    """Rounds that were finished at ``times``, the last with ``rounds_left`` to come."""
    return [
        RoundRecord(
            round=number,
            fence=(fences or (1,) * len(times))[number],
            ranking=tuple({"kept": kept} for kept in ((True, False) if number == 0 else (True, True, False))),
            best_candidate_id="c0",
            best_reward=3.0,
            spend={},
            rounds_left=rounds_left,
            at=at,
        )
        for number, at in enumerate(times)
    ]


def estimate(
    spec: JobSpec = SPEC,
    rounds: list[RoundRecord] | None = None,
    counts: EvaluationCounts = NOTHING,
    *,
    spent: int = 0,
    record: OptimizationRecord = RECORD,
) -> Estimate:
    found = estimate_rest(record, spec, rounds or [], counts, calls_spent=spent)
    assert found is not None
    return found


def with_budget(**limits: float) -> JobSpec:
    return SPEC.model_copy(update={"budget": BudgetSpec.model_validate(limits)})


def gate(evaluations: int, queries: int) -> EvaluationCounts:
    return replace(NOTHING, held_out=evaluations, held_out_queries=queries)


def test_a_job_that_has_ended_has_nothing_left() -> None:
    ended = replace(RECORD, status=OptimizationStatus.SUCCEEDED)
    assert estimate_rest(ended, SPEC, [], NOTHING, calls_spent=0) is None


def test_before_the_first_round_all_is_left() -> None:
    found = estimate()
    assert found.calls_left == SEED + FIRST + 2 * FULL + GATE
    assert found.calls_left_max > found.calls_left
    assert found.seconds_left is None


@pytest.mark.parametrize(("queries", "rounds"), [(2, 0), (3, 1), (4, 2)])
def test_there_are_no_more_rounds_than_queries(queries: int, rounds: int) -> None:
    found = estimate(SPEC.model_copy(update={"search_queries": queries}))
    assert found.calls_left == found.calls_left_max == SEED + FIRST + rounds * FULL + GATE


def test_a_round_that_is_done_is_left_no_more() -> None:
    assert estimate(rounds=rounds_at(0, rounds_left=3)).calls_left == FIRST + 2 * FULL + GATE
    found = estimate(rounds=rounds_at(0, 1, 2, rounds_left=1))
    assert (found.calls_left, found.calls_left_max) == (FULL + GATE, 3 * FULL + GATE)


def test_the_longest_search_is_bounded_by_the_queries_too() -> None:
    spec = SPEC.model_copy(update={"search_queries": 5})
    assert estimate(spec, rounds_at(0, 1, 2, rounds_left=1)).calls_left_max == 2 * FULL + GATE


def test_no_more_is_left_than_the_budget_has() -> None:
    found = estimate(with_budget(calls=50), rounds_at(0, 1, rounds_left=2), spent=20)
    assert (found.calls_left, found.calls_left_max) == (30, 30)
    found = estimate(with_budget(calls=50), rounds_at(0, 1, rounds_left=2), spent=57)
    assert (found.calls_left, found.calls_left_max, found.seconds_left) == (0, 0, 0)


def test_the_gate_counts_down_to_zero_with_its_evaluations_and_its_selections() -> None:
    rounds = rounds_at(0, 10, 20, rounds_left=2)  # the budget ended the search early
    found = estimate(rounds=rounds, counts=gate(3, 2))
    assert found.calls_left == found.calls_left_max == GATE - 3 * 2 - 2
    assert found.seconds_left == pytest.approx(10 * 32 / 40)
    found = estimate(rounds=rounds, counts=gate(16, 8))
    assert (found.calls_left, found.calls_left_max, found.seconds_left) == (0, 0, 0)
    assert estimate(rounds=rounds, counts=gate(20, 10)).calls_left == 0


def test_finalists_the_seed_prompt_and_second_judgements_are_part_of_the_gate() -> None:
    spec = SPEC.model_copy(update={"gate": GateConfig(), "seed_is_incumbent": False})
    whole = 8 * (4 * 2 + 1) + 20
    assert estimate(spec).calls_left == SEED + FIRST + 2 * FULL + whole
    assert estimate(spec, rounds_at(0, 10), gate(32, 8)).calls_left == 20


def test_without_a_gate_a_finished_search_leaves_nothing() -> None:
    spec = SPEC.model_copy(update={"held_out_queries": 0, "search_queries": 3})
    assert estimate(spec, rounds_at(0, 1, 2)).calls_left == 0
    assert estimate(spec, rounds_at(0, 4, rounds_left=1)).seconds_left == 4


def test_the_pace_is_the_median_of_the_rounds() -> None:
    rounds = rounds_at(0, 10, 20, 3600, 3610, rounds_left=1)  # the machine slept
    assert estimate(rounds=rounds).seconds_left == pytest.approx(10 * (1 + 1))


def test_the_time_between_two_attempts_is_no_pace() -> None:
    rounds = rounds_at(0, 10, 9000, rounds_left=1, fences=(1, 1, 2))
    assert estimate(rounds=rounds).seconds_left == pytest.approx(10 * (1 + 1))
    rounds = rounds_at(0, 9000, rounds_left=1, fences=(1, 2))
    assert estimate(rounds=rounds).seconds_left is None


def test_no_more_seconds_are_left_than_the_budget_has() -> None:
    record = replace(RECORD, elapsed_seconds=25.0)
    rounds = rounds_at(0, 10, 20, rounds_left=1)
    assert estimate(with_budget(seconds=30), rounds, record=record).seconds_left == 5
    assert estimate(with_budget(seconds=20), rounds, record=record).seconds_left == 0
