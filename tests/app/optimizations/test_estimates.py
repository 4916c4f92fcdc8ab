"""What is left of a job, from records that say how far it is."""

from dataclasses import replace

import pytest

from app.jobs.spec import BudgetSpec, JobSpec, ReplaySpec
from app.optimizations.estimates import estimate_rest, progress_after, time_left
from app.optimizations.forecast_schemas import Range
from app.optimizations.schemas import Estimate
from optimizer.config import PRESETS, SearchConfig
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
NONE_LEFT = Range(low=0, expected=0, high=0)
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
            spend={"calls": (SEED, SEED + FIRST, SEED + FIRST + FULL)[min(number, 2)], "seconds": at},
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


def left(
    spec: JobSpec = SPEC,
    rounds: list[RoundRecord] | None = None,
    counts: EvaluationCounts = NOTHING,
    *,
    spent: int = 0,
    elapsed: float = 0.0,
) -> Range | None:
    return time_left(replace(RECORD, elapsed_seconds=elapsed), spec, rounds or [], counts, calls_spent=spent)


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
    assert left() is None


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
    assert (found.calls_left, found.calls_left_max) == (0, 0)
    assert left(with_budget(calls=50), rounds_at(0, 1, rounds_left=2), spent=57) == NONE_LEFT


def test_the_gate_counts_down_to_zero_with_its_evaluations_and_its_selections() -> None:
    rounds = rounds_at(0, 10, 20, rounds_left=2)  # the budget ended the search early
    found = estimate(rounds=rounds, counts=gate(3, 2))
    assert found.calls_left == found.calls_left_max == GATE - 3 * 2 - 2
    found = estimate(rounds=rounds, counts=gate(16, 8))
    assert (found.calls_left, found.calls_left_max) == (0, 0)
    assert left(rounds=rounds, counts=gate(16, 8)) == NONE_LEFT
    assert estimate(rounds=rounds, counts=gate(20, 10)).calls_left == 0


def test_finalists_the_seed_prompt_and_second_judgements_are_part_of_the_gate() -> None:
    spec = SPEC.model_copy(update={"gate": GateConfig(), "seed_is_incumbent": False})
    whole = 8 * (4 * 2 + 1) + 20
    assert estimate(spec).calls_left == SEED + FIRST + 2 * FULL + whole
    assert estimate(spec, rounds_at(0, 10), gate(32, 8)).calls_left == 20


def test_without_a_gate_a_finished_search_leaves_nothing() -> None:
    spec = SPEC.model_copy(update={"held_out_queries": 0, "search_queries": 3})
    assert estimate(spec, rounds_at(0, 1, 2)).calls_left == 0
    assert left(spec, rounds_at(0, 1, 2)) == NONE_LEFT


def at_pace(seconds_per_wave: float, count: int, *, rounds_left: int) -> list[RoundRecord]:
    """Rounds of three waves, the seed prompt's of two, each call of which takes as long as the others."""
    ends = [2 * seconds_per_wave + 3 * seconds_per_wave * number for number in range(count)]
    return rounds_at(*ends, rounds_left=rounds_left)


def test_the_time_left_is_that_of_the_waves_to_come() -> None:
    spec = SPEC.model_copy(update={"held_out_queries": 0})
    found = left(spec, at_pace(10, 3, rounds_left=1), elapsed=80.0)
    assert found is not None
    by_call = 10 * 3 / FULL * FULL
    assert found.expected == pytest.approx((30 + by_call) / 2, rel=0.5)
    assert found.low < found.expected < found.high


def test_before_the_first_round_the_forecast_of_earlier_jobs_counts_down() -> None:
    guess = {
        name: {"low": 1, "expected": 2, "high": 3}
        for name in ("calls", "prompt_tokens", "completion_tokens", "cost")
    }
    forecast = {
        **guess,
        "seconds": {"low": 50, "expected": 60, "high": 90},
        "by_role": {},
        "jobs_measured": 1,
    }
    spec = SPEC.model_copy(update={"forecast": forecast})
    assert left(spec) == Range(low=50, expected=60, high=90)
    assert left(spec, elapsed=55) == Range(low=0, expected=5, high=35)
    unknown = SPEC.model_copy(update={"forecast": {**forecast, "seconds": None}})
    assert left(unknown) is None


def test_a_round_under_way_counts_down_but_not_below_the_rounds_after_it() -> None:
    spec = SPEC.model_copy(update={"held_out_queries": 0})
    rounds = at_pace(10, 2, rounds_left=2)
    ends = [left(spec, rounds, elapsed=elapsed) for elapsed in (50.0, 60.0, 1000.0)]
    expected = [item.expected for item in ends if item is not None]
    assert expected[0] - expected[1] == pytest.approx(10)
    assert expected[2] == pytest.approx(expected[0] / 2, abs=0.1)


def test_time_in_which_nobody_worked_does_not_count() -> None:
    rounds = [replace(item, at=item.at + 9000) for item in at_pace(10, 3, rounds_left=1)]
    assert left(rounds=rounds, elapsed=80.0) == left(rounds=at_pace(10, 3, rounds_left=1), elapsed=80.0)


def test_rounds_of_an_older_version_measure_nothing() -> None:
    old = [replace(item, spend={"calls": 9}) for item in at_pace(10, 3, rounds_left=1)]
    assert left(rounds=old) is None


def test_a_job_that_has_ended_takes_no_more_time_and_a_replay_tells_none() -> None:
    ended = replace(RECORD, status=OptimizationStatus.FAILED)
    assert time_left(ended, SPEC, [], NOTHING, calls_spent=0) == NONE_LEFT
    replayed = SPEC.model_copy(
        update={"replay": ReplaySpec(of="opt_0", config=SPEC.config, exact=True, finished=True)}
    )
    assert left(replayed, at_pace(10, 3, rounds_left=1)) is None


def test_a_racing_search_may_end_after_one_more_round() -> None:
    spec = SPEC.model_copy(update={"config": PRESETS["default"], "held_out_queries": 0, "search_queries": 40})
    one, ten = (left(spec, at_pace(10, 2, rounds_left=count), elapsed=50.0) for count in (1, 10))
    assert one is not None
    assert ten is not None
    assert ten.low <= one.high
    assert ten.high > 5 * one.high


def test_no_more_seconds_are_left_than_the_budget_has() -> None:
    rounds = at_pace(10, 3, rounds_left=1)
    found = left(with_budget(seconds=85), rounds, elapsed=80.0)
    assert found is not None
    assert found.high == 5
    assert left(with_budget(seconds=80), rounds, elapsed=80.0) == NONE_LEFT


def test_the_progress_after_a_round_is_that_of_its_moment() -> None:
    rounds = at_pace(10, 3, rounds_left=1)
    record = replace(RECORD, spec=SPEC.to_json(), elapsed_seconds=5000.0, status=OptimizationStatus.SUCCEEDED)
    told = progress_after(record, rounds)
    assert (told.calls, told.calls_expected) == (SEED + FIRST + FULL, SEED + FIRST + 2 * FULL + GATE)
    assert told.seconds_left == left(rounds=rounds, elapsed=80.0)
