"""What is left of a job that has not ended, from what it has and what it has done."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from app.jobs.reserve import kept_for_gate
from app.jobs.spec import JobSpec
from app.optimizations.schemas import Estimate
from optimizer.config import SearchConfig
from optimizer.estimate import CallRates, gate_calls, round_calls, search_calls
from optimizer.plan import SearchPlan, plan_search, planned_calls
from store.records.optimizations import OptimizationRecord
from store.records.progress import RoundRecord
from store.repositories.search_tree import EvaluationCounts


def estimate_rest(
    record: OptimizationRecord,
    spec: JobSpec,
    rounds: Sequence[RoundRecord],
    counts: EvaluationCounts,
    *,
    calls_spent: int,
) -> Estimate | None:
    """Calls and seconds that are left, within the budget; None for a job that has ended."""
    if record.status.is_final:
        return None
    if spec.replay is not None:
        return Estimate(calls_left=0, calls_left_max=0, seconds_left=None)
    gate = _gate_calls_left(spec, counts)
    # the search is over once the gate has begun, whatever the last round still expected
    expected, most = (0, 0) if counts.held_out else _search_calls_left(spec, rounds)
    room = None if spec.budget.calls is None else max(0, spec.budget.calls - calls_spent)
    calls_left, calls_left_max = expected + gate, most + gate
    if room is not None:
        calls_left, calls_left_max = min(room, calls_left), min(room, calls_left_max)
    return Estimate(
        calls_left=calls_left,
        calls_left_max=calls_left_max,
        seconds_left=0.0 if calls_left == 0 else _seconds_left(record, spec, rounds, counts),
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
    return plan_search(planned, queries=spec.search_queries, rates=spec.rates)


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


def _seconds_left(
    record: OptimizationRecord, spec: JobSpec, rounds: Sequence[RoundRecord], counts: EvaluationCounts
) -> float | None:
    # between rounds of two attempts lies the time in which nobody worked
    gaps = [later.at - earlier.at for earlier, later in pairwise(rounds) if later.fence == earlier.fence]
    if not gaps:
        return None
    whole_gate = gate_calls(spec.gate_size, rates=spec.rates)
    # the gate, two waves long, takes about as long as a round
    gate = _gate_calls_left(spec, counts) / whole_gate if whole_gate else 0.0
    rounds_left = 0 if counts.held_out else rounds[-1].rounds_left
    seconds = max(0.0, median(gaps)) * (rounds_left + gate)
    if spec.budget.seconds is None:
        return seconds
    return min(seconds, max(0.0, spec.budget.seconds - record.elapsed_seconds))
