"""What is left of a job that has not ended, from what it has and what it has done."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from app.jobs.reserve import kept_for_gate
from app.jobs.spec import JobSpec
from app.jobs.views import job_spec
from app.optimizations.forecast_schemas import Forecast, Range
from app.optimizations.schemas import Estimate, RoundProgress
from optimizer.config import SearchConfig
from optimizer.estimate import CallRange, CallRates, gate_calls, round_calls, search_calls
from optimizer.plan import SearchPlan, plan_search, planned_calls
from optimizer.time_left import (
    BEAM_ROUND,
    GATE,
    SEED_WAVES,
    SecondsLeft,
    Stretch,
    race_round,
    seconds_left,
)
from store.records.optimizations import OptimizationRecord, OptimizationStatus
from store.records.progress import RoundRecord
from store.repositories.search_tree import EvaluationCounts

NOTHING_EVALUATED: Final = EvaluationCounts(search=0, held_out=0, unscored=0, held_out_queries=0)


def estimate_rest(
    record: OptimizationRecord,
    spec: JobSpec,
    rounds: Sequence[RoundRecord],
    counts: EvaluationCounts,
    *,
    calls_spent: int,
) -> Estimate | None:
    """Calls that are left, within the budget; None for a job that has ended."""
    if record.status.is_final:
        return None
    if spec.replay is not None:
        return Estimate(calls_left=0, calls_left_max=0)
    gate = _gate_calls_left(spec, counts)
    # the search is over once the gate has begun, whatever the last round still expected
    expected, most = (0, 0) if counts.held_out else _search_calls_left(spec, rounds)
    room = None if spec.budget.calls is None else max(0, spec.budget.calls - calls_spent)
    calls_left, calls_left_max = expected + gate, most + gate
    if room is not None:
        calls_left, calls_left_max = min(room, calls_left), min(room, calls_left_max)
    return Estimate(calls_left=calls_left, calls_left_max=calls_left_max)


def time_left(
    record: OptimizationRecord,
    spec: JobSpec,
    rounds: Sequence[RoundRecord],
    counts: EvaluationCounts,
    *,
    calls_spent: int,
) -> Range | None:
    """Seconds of work that are left, within the budget: 0 for a job that has ended, None where unknown."""
    if record.status.is_final:
        return Range(low=0.0, expected=0.0, high=0.0)
    rest = estimate_rest(record, spec, rounds, counts, calls_spent=calls_spent)
    if rest is None or spec.replay is not None:
        return None
    found = _measured(record, spec, rounds, counts, rest)
    if found is None:
        found = _forecast(record, spec)
    if found is None:
        return None
    if spec.budget.seconds is not None:
        found = found.within(max(0.0, spec.budget.seconds - record.elapsed_seconds))
    if rest.calls_left_max == 0:
        found = found.within(0.0)
    return Range(low=round(found.low, 1), expected=round(found.expected, 1), high=round(found.high, 1))


def progress_after(record: OptimizationRecord, rounds: Sequence[RoundRecord]) -> RoundProgress:
    """How far the job was when the last of ``rounds``, one at least, had just ended."""
    worked, calls = _so_far(rounds[-1])
    then = replace(record, status=OptimizationStatus.RUNNING, elapsed_seconds=worked)
    spec = job_spec(record)
    return progress_now(then, spec, rounds, NOTHING_EVALUATED, calls_spent=calls)


def progress_now(
    record: OptimizationRecord,
    spec: JobSpec,
    rounds: Sequence[RoundRecord],
    counts: EvaluationCounts,
    *,
    calls_spent: int,
) -> RoundProgress:
    """How far the job is."""
    rest = estimate_rest(record, spec, rounds, counts, calls_spent=calls_spent)
    return RoundProgress(
        calls=calls_spent,
        calls_expected=calls_spent + (0 if rest is None else rest.calls_left),
        seconds_left=time_left(record, spec, rounds, counts, calls_spent=calls_spent),
    )


def _gate_calls_left(spec: JobSpec, counts: EvaluationCounts) -> int:
    rates = spec.rates
    made = rates.rollout * counts.held_out + rates.query * counts.held_out_queries
    return max(0, gate_calls(spec.gate_size, rates=rates) - made)


def _search_calls_left(spec: JobSpec, rounds: Sequence[RoundRecord]) -> tuple[int, int]:
    """Calls of the search if nothing more is skipped, and at most."""
    if spec.config.racing is not None:
        return _racing_calls_left(spec, rounds)
    config = within_queries(spec)
    if not rounds:
        whole = search_calls(config, rates=spec.rates)
        return whole.expected, whole.maximum
    last = rounds[-1]
    longest = max(last.rounds_left, config.max_rounds - last.round)
    lineages = sum(bool(place["kept"]) for place in last.ranking)
    left, most = (
        _calls_of_rounds(config, lineages, count, spec.rates) for count in (last.rounds_left, longest)
    )
    return left, most


def _racing_calls_left(spec: JobSpec, rounds: Sequence[RoundRecord]) -> tuple[int, int]:
    """Calls of the rounds that are planned; the search may converge before, and never takes more."""
    plan = racing_plan(spec)
    if not rounds:
        return plan.calls, plan.calls
    later = rounds[-1].rounds_left * plan.round_calls(first=False, rates=spec.rates)
    return later, later


def racing_plan(spec: JobSpec) -> SearchPlan:
    """How the job's racing search divides the calls that its budget leaves to it."""
    limit = spec.budget.calls
    left = None if limit is None else limit - kept_for_gate(limit, spec.gate_size, rates=spec.rates)
    planned = planned_calls(spec.config, left)
    reads = spec.config.reads_instructions
    return plan_search(planned, queries=spec.search_queries, rates=spec.rates, reads_instructions=reads)


def within_queries(spec: JobSpec) -> SearchConfig:
    """The settings with as many rounds as there are queries for."""
    config = spec.config
    longest = spec.search_queries // config.minibatch_size
    depth = min(config.depth, longest)
    more = min(config.max_depth_increase, longest - depth)
    return config.model_copy(update={"depth": depth, "max_depth_increase": more})


def _calls_of_rounds(config: SearchConfig, lineages: int, count: int, rates: CallRates) -> int:
    calls = 0
    for _ in range(count):
        calls += round_calls(config, lineages=lineages, skipped=0, rates=rates)
        lineages = min(config.beam_width, lineages * config.proposals_per_candidate)
    return calls


def _measured(
    record: OptimizationRecord,
    spec: JobSpec,
    rounds: Sequence[RoundRecord],
    counts: EvaluationCounts,
    rest: Estimate,
) -> SecondsLeft | None:
    """By the waves of the rounds so far; None before the first."""
    usual = BEAM_ROUND if spec.config.racing is None else race_round(racing_plan(spec))
    measured = _stretches(rounds, usual.expected)
    if not measured:
        return None
    gate = 0.0
    if whole := gate_calls(spec.gate_size, rates=spec.rates):
        gate = _gate_calls_left(spec, counts) / whole
    fewest, likely, longest = (0, 0, 0) if counts.held_out else _rounds_left(spec, rounds[-1])
    waves = usual.times(fewest, likely, longest).plus(GATE.times(gate, gate, gate))
    least = int(rest.calls_left * waves.low / waves.expected) if waves.expected else 0
    calls = CallRange(low=least, expected=rest.calls_left, high=rest.calls_left_max)
    found = seconds_left(measured, waves, calls)
    if found is None or counts.held_out or not likely:
        return found
    # a part of the round under way is over, and never more than the whole
    one = found.expected * usual.expected / waves.expected
    return found.less(min(one, max(0.0, record.elapsed_seconds - _so_far(rounds[-1])[0])))


def _rounds_left(spec: JobSpec, last: RoundRecord) -> tuple[int, int, int]:
    """At least (a racing search may find that it has converged), as expected, and at most."""
    if spec.config.racing is not None:
        return min(1, last.rounds_left), last.rounds_left, last.rounds_left
    longest = max(last.rounds_left, within_queries(spec).max_rounds - last.round)
    return last.rounds_left, last.rounds_left, longest


def _stretches(rounds: Sequence[RoundRecord], usual_waves: float) -> list[Stretch]:
    """What each round took; one that made no call of its own (it was replayed) measures nothing."""
    found, seconds, calls = [], 0.0, 0
    for item in rounds:
        then, made = _so_far(item)
        waves = usual_waves if item.round else SEED_WAVES
        if then > seconds and made > calls:
            found.append(Stretch(waves=waves, calls=made - calls, seconds=then - seconds))
        seconds, calls = max(seconds, then), max(calls, made)
    return found


def _so_far(item: RoundRecord) -> tuple[float, int]:
    """Seconds of work and calls at the end of a round; 0 where an older version has not recorded them."""
    seconds, calls = item.spend.get("seconds"), item.spend.get("calls")
    return (
        float(seconds) if isinstance(seconds, int | float) else 0.0,
        calls if isinstance(calls, int) else 0,
    )


def _forecast(record: OptimizationRecord, spec: JobSpec) -> SecondsLeft | None:
    """By the forecast at the job's creation, less what it has worked since."""
    expected = None if spec.forecast is None else Forecast.model_validate(spec.forecast).seconds
    if expected is None:
        return None
    whole = SecondsLeft(low=expected.low, expected=expected.expected, high=expected.high)
    return whole.less(record.elapsed_seconds)
