"""How a racing search divides its calls: on queries, proposals, races and the final."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from optimizer.config import SearchConfig
from optimizer.estimate import (
    USUAL_RATES,
    CallRange,
    CallRates,
    GateSize,
    answers_by_role,
    round_calls,
    seed_calls,
    with_repairs,
)
from optimizer.types import ModelRole

DEFAULT_CALLS = 2000
"""Calls planned for where no limit says otherwise; convergence ends most searches sooner."""
LEAST_CALLS = 40
_SCREENING_SHARE, _FINAL_SHARE = 0.19, 0.12
_LEAST_SCREENED, _MOST_SCREENED = 14, 48
_FEWEST_REQUESTS = 4
_SMALL, _MEDIUM, _LARGE = 220, 450, 1200


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchPlan:
    """Sizes for one search.

    Attributes:
        screening: queries that the seed prompt is tried on first, and that races draw from.
        fresh: queries that join them in each round.
        first_requests / requests: requests to the proposer in the first round, and in each later one.
        recombinations: candidates put together from known instructions in each round.
        entrants: candidates in a race.
        block: queries between two looks at a race.
        blocks: blocks of a race at most.
        readings: calls in each round that say what its new instructions are about.
        final: calls kept for the comparison of the finalists.
        calls: all calls planned for.
    """

    screening: int
    fresh: int
    first_requests: int
    requests: int
    recombinations: int
    entrants: int
    block: int
    blocks: int
    readings: int
    final: int
    calls: int

    def rounds_after(self, rounds: int, *, rates: CallRates = USUAL_RATES) -> int:
        """Rounds that are still to come, as planned, after ``rounds`` of them (the seed prompt's is none)."""
        left = self.calls - self.final - self.screening * (rates.rollout + rates.query)
        left -= self.round_calls(first=True, rates=rates)
        planned = 1 + max(0, left // self.round_calls(first=False, rates=rates))
        return max(0, planned - rounds)

    def round_calls(self, *, first: bool, rates: CallRates = USUAL_RATES) -> int:
        """Calls of a round up to its first look; the leader may have to answer the block as well."""
        requests = self.first_requests if first else self.requests
        made = rates.proposal * requests + self.readings
        return made + rates.rollout * self.block * (self.entrants + 1) + rates.query * self.fresh


def racing_calls_by_role(
    plan: SearchPlan, *, gate: GateSize, rates: CallRates = USUAL_RATES, gate_judge: bool = False
) -> Mapping[ModelRole, CallRange]:
    """The calls of a whole job with a racing search, search and gate, before it starts.

    At least: the search converges after the rounds in which it may, the criteria are known, and there is
    nothing to compare. As expected and at most: all that is planned.
    """
    rounds = max(1, plan.rounds_after(0, rates=rates))
    requests = plan.first_requests + (rounds - 1) * plan.requests
    queries = plan.screening + rounds * plan.fresh
    readings = rounds * plan.readings
    made = rates.proposal * requests + readings
    rollouts = max(0, plan.calls - made - rates.query * queries) // rates.rollout
    least = min(rollouts, plan.screening + plan.entrants * plan.block)
    answers = CallRange(low=least, expected=rollouts, high=rollouts)
    asked = rates.query * (queries + gate.queries)
    proposed = CallRange(low=1, expected=requests, high=requests)
    written = CallRange(low=1 + plan.readings, expected=requests + readings, high=requests + readings)
    return {
        **answers_by_role(answers, gate, rates=rates, gate_judge=gate_judge, requests=proposed),
        ModelRole.PROPOSER: with_repairs(written),
        ModelRole.SELECTOR: with_repairs(CallRange(low=0, expected=asked, high=asked)),
    }


def least_calls(config: SearchConfig, *, rates: CallRates = USUAL_RATES) -> int:
    """Calls below which a search cannot judge the seed prompt and make a round."""
    if config.racing is None:
        return seed_calls(config, rates=rates) + round_calls(config, lineages=1, skipped=0, rates=rates)
    # Twice: screening and final take their shares of these calls, too.
    explaining = 2 * _FEWEST_REQUESTS * rates.reasons
    return math.ceil(LEAST_CALLS * (rates.rollout + rates.query) / 3) + explaining


def planned_calls(config: SearchConfig, left: int | None) -> int:
    """Calls that a racing search plans with where ``left`` are left; None is no limit.

    Raises:
        ValueError: the settings are those of a beam search.
    """
    if config.racing is None:
        raise ValueError("the settings are those of a beam search")
    calls = DEFAULT_CALLS if left is None else left
    return calls if config.racing.calls is None else min(calls, config.racing.calls)


def plan_search(
    calls: int, *, queries: int, rates: CallRates = USUAL_RATES, reads_instructions: bool = False
) -> SearchPlan:
    """Sizes for a search with so many calls on so many queries; see ``RacingConfig.reads_instructions``."""
    per_query = rates.rollout + rates.query
    wanted = min(_MOST_SCREENED, max(_LEAST_SCREENED, round(_SCREENING_SHARE * calls / per_query)))
    screening = max(2, min(wanted, queries, calls // (3 * per_query)))
    medium, large = calls >= _MEDIUM, calls >= _LARGE
    block = 4 if large else 3
    entrants = 10 if large else 8 if medium else 5
    first_requests = 8 if large else 6 if calls >= _SMALL else _FEWEST_REQUESTS
    left = calls - screening * per_query - rates.reasons * first_requests - int(reads_instructions)
    affordable = left // (3 * rates.rollout * block)
    return SearchPlan(
        screening=screening,
        fresh=2 if medium else 0,
        first_requests=first_requests,
        requests=2 if large else 1,
        recombinations=8 if medium else 5,
        entrants=max(2, min(entrants, affordable)),
        block=block,
        blocks=3 if large else 2,
        readings=int(reads_instructions),
        final=int(_FINAL_SHARE * calls),
        calls=calls,
    )
