"""How a job's budget is shared between the search and the gate."""

import math

from typing_extensions import override

from app.jobs.decisions import Decisions
from optimizer.budget import Budget, Limits
from optimizer.estimate import USUAL_RATES, CallRates, gate_calls
from optimizer.gate import MIN_PAIRS
from optimizer.protocols import SearchLimits

MAX_GATE_SHARE = 0.4
"""Of each limit, kept for the gate at most: a gate without a search has nothing to compare."""

_MARGIN = 1.25
"""Held-out queries may be longer than those of the search, and their judgements need repairs, too."""


def kept_for_gate(budget_calls: int | None, held_out: int, *, rates: CallRates = USUAL_RATES) -> int:
    """Calls of a budget that the search leaves to the gate."""
    wanted = gate_calls(held_out, rates=rates)
    return wanted if budget_calls is None else min(wanted, int(budget_calls * MAX_GATE_SHARE))


class KeepForGate(SearchLimits):
    """Ends the search while there is still enough for the comparison on held-out queries.

    Its share is withheld from the search in every limit, so that no round that goes wrong spends it: in
    calls as many as the gate makes, in tokens, money and seconds what so many calls take by what calls have
    taken so far.
    """

    def __init__(
        self, budget: Budget, *, held_out: int, decisions: Decisions, rates: CallRates = USUAL_RATES
    ) -> None:
        """Keep of ``budget`` what ``held_out`` queries take, and repeat the ``decisions`` on record."""
        self._budget = budget
        self._decisions = decisions
        self._asked = 0
        self._forecasts = 0
        self._held_out = held_out
        if decisions.search_ended:
            budget.close(decisions.refused_by or "calls")
        self._rates = rates

    @override
    def exhausted(self, calls_needed: int) -> bool:
        self._asked += 1
        self._budget.withhold(_gate_share(self._budget, self._held_out, self._rates))
        if self._asked > self._decisions.rounds and (
            self._decisions.search_ended or self._budget.exhausted(calls_needed)
        ):
            return True
        self._decisions.begin_round(self._asked)
        return False

    @override
    def affordable_calls(self, made: int) -> int | None:
        self._forecasts += 1
        kept = _gate_share(self._budget, self._held_out, self._rates)
        return self._decisions.forecast(self._forecasts, _calls_left(self._budget, kept, made))

    def end_search(self) -> None:
        """The search is over: its end is on record, and what was kept from it is free."""
        self._decisions.note_refusal(self._budget.refused_by)
        self._decisions.end_search()
        self._budget.close(None)
        self._budget.withhold(Limits())


def affordable(budget: Budget, held_out: int, *, rates: CallRates = USUAL_RATES) -> int:
    """How many of ``held_out`` queries the gate can still pay for; 0 where too few to conclude anything."""
    count = held_out
    while count and not budget.has_room(_needed(budget, gate_calls(count, rates=rates))):
        count -= 1
    return count if count >= min(MIN_PAIRS, held_out) else 0


def _gate_share(budget: Budget, held_out: int, rates: CallRates) -> Limits:
    limits, needed = budget.limits, _needed(budget, gate_calls(held_out, rates=rates), margin=_MARGIN)
    return Limits(
        calls=kept_for_gate(limits.calls, held_out, rates=rates),
        tokens=None
        if limits.tokens is None
        else min(needed.tokens or 0, int(limits.tokens * MAX_GATE_SHARE)),
        cost=None if limits.cost is None else min(needed.cost or 0.0, limits.cost * MAX_GATE_SHARE),
        seconds=None
        if limits.seconds is None
        else min(needed.seconds or 0.0, limits.seconds * MAX_GATE_SHARE),
    )


def _calls_left(budget: Budget, kept: Limits, made: int) -> int | None:
    """Calls that fit into every limit less what is kept, at what calls have taken so far."""
    limits, spent = budget.limits, budget.spent
    left: list[float] = []
    if limits.calls is not None:
        left.append(limits.calls - (kept.calls or 0) - made)
    if spent.calls:
        used = {
            "tokens": (spent.tokens, limits.tokens, kept.tokens),
            "cost": (spent.cost, limits.cost, kept.cost),
            "seconds": (budget.elapsed, limits.seconds, kept.seconds),
        }
        left += [
            (limit - (withheld or 0) - amount) * spent.calls / amount
            for amount, limit, withheld in used.values()
            if limit is not None and amount > 0
        ]
    return max(0, int(min(left))) if left else None


def _needed(budget: Budget, calls: int, *, margin: float = 1.0) -> Limits:
    """What ``calls`` calls take if they are like those so far; the last one has to be reserved in full."""
    spent, largest = budget.spent, budget.largest
    if not calls:
        return Limits()
    if not spent.calls:
        return Limits(calls=calls)
    share = calls / spent.calls * margin
    return Limits(
        calls=calls,
        tokens=math.ceil(spent.tokens * share) + largest.tokens,
        cost=spent.cost * share + largest.cost,
        seconds=budget.elapsed * share,
    )
