"""How a job's budget is shared between the search and the gate."""

import dataclasses
import math
from collections.abc import Callable, Iterator

from typing_extensions import override

from app.jobs.decisions import Decisions
from app.jobs.limits import fingerprint
from optimizer.budget import Budget, Limits
from optimizer.estimate import USUAL_RATES, CallRates, GateSize, gate_calls
from optimizer.promotion import MIN_PAIRS
from optimizer.protocols import SearchLimits
from optimizer.reliability import ENOUGH

MAX_GATE_SHARE = 0.4
"""Of each limit, kept for the gate at most: a gate without a search has nothing to compare."""

MORE_FINALISTS_SHARE = 0.2
"""Of each limit, within which more finalists than one are kept for: the search is worth more than they."""

_MARGIN = 1.25
"""Held-out queries may be longer than those of the search, and their judgements need repairs, too."""


def kept_for_gate(budget_calls: int | None, size: GateSize, *, rates: CallRates = USUAL_RATES) -> int:
    """Calls of a budget that the search leaves to a gate of ``size``; none where nothing is held out."""

    def needed(wanted: GateSize) -> float:
        return gate_calls(wanted, rates=rates)

    return int(_kept(budget_calls, size, needed) or 0)


def _none_taken() -> int:
    return 0


class KeepForGate(SearchLimits):
    """Ends the search while there is still enough for the comparison on held-out queries.

    Its share is withheld from the search in every limit, so that no round that goes wrong spends it: in
    calls as many as the gate makes, in tokens, money and seconds what so many calls take by what calls have
    taken so far.
    """

    def __init__(
        self,
        budget: Budget,
        *,
        size: GateSize,
        decisions: Decisions,
        rates: CallRates = USUAL_RATES,
        given: Limits | None = None,
        taken: Callable[[], int] = _none_taken,
    ) -> None:
        """Keep of ``budget`` what a gate of ``size`` takes, and repeat the ``decisions`` on record.

        Args:
            budget: the job's.
            size: what the gate compares at most.
            decisions: those of earlier attempts.
            rates: the calls that scoring takes.
            given: the limits that the job was made with; None where nobody can change them.
            taken: calls of another job's record that the search has made use of; they are in no limit.
        """
        self._budget = budget
        self._decisions = decisions
        self._asked = 0
        self._forecasts = 0
        self._size = size
        if decisions.search_ended:
            budget.close(decisions.refused_by or "calls")
        self._rates = rates
        self._given = None if given is None else fingerprint(given)
        self._planned_by = 0
        self._taken = taken

    @override
    def exhausted(self, calls_needed: int) -> bool:
        self._asked += 1
        self._budget.withhold(_gate_share(self._budget, self._size, self._rates))
        if self._decisions.refused(self._asked):
            return True
        if not self._decisions.began(self._asked):
            if self._decisions.search_ended:
                return True
            if self._budget.exhausted(calls_needed):
                self._decisions.refuse_round(self._asked)
                return True
        self._decisions.begin_round(self._asked)
        return False

    @override
    def affordable_calls(self, made: int) -> int | None:
        self._forecasts += 1
        kept = _gate_share(self._budget, self._size, self._rates)
        calls = self._decisions.forecast(
            self._forecasts,
            _calls_left(self._budget, kept, max(0, made - self._taken())),
            by=self._limits_now(),
        )
        self._planned_by = self._decisions.forecast_by(self._forecasts)
        return calls

    @override
    def have_changed(self) -> bool:
        asking = self._asked + 1
        if self._decisions.is_known(asking):
            return self._decisions.changed(asking)
        if self._decisions.search_ended or self._limits_now() == self._planned_by:
            return False
        self._decisions.note_change(asking)
        return True

    def _limits_now(self) -> int:
        """The fingerprint of the limits now; 0 where they are those that the job was made with."""
        if self._given is None:
            return self._planned_by
        now = fingerprint(self._budget.limits)
        return 0 if now == self._given else now

    def end_search(self) -> None:
        """The search is over: its end is on record, and what was kept from it is free."""
        self._decisions.note_refusal(self._budget.refused_by)
        self._decisions.end_search()
        self._budget.close(None)
        self._budget.withhold(Limits())


def affordable(budget: Budget, wanted: GateSize, *, rates: CallRates = USUAL_RATES) -> GateSize:
    """What of ``wanted`` the gate can still pay for.

    Cut are finalists after the first, then the seed prompt, then what is judged again but for the least that
    says something, then queries, and last what is judged again at all. No queries are left where too few to
    conclude anything could be paid.
    """
    for size in _smaller_and_smaller(wanted):
        if budget.has_room(_needed(budget, gate_calls(size, rates=rates))):
            return size
    return dataclasses.replace(wanted, queries=0, judged_again=0)


def _smaller_and_smaller(wanted: GateSize) -> Iterator[GateSize]:
    size = wanted
    yield size
    while size.finalists > 1:
        size = dataclasses.replace(size, finalists=size.finalists - 1)
        yield size
    size = dataclasses.replace(size, with_seed_prompt=False)
    yield size
    size = dataclasses.replace(size, judged_again=min(ENOUGH, size.judged_again))
    yield size
    while size.queries > min(MIN_PAIRS, wanted.queries):
        size = dataclasses.replace(size, queries=size.queries - 1)
        yield size
    if size.queries:
        yield dataclasses.replace(size, judged_again=0)


def _gate_share(budget: Budget, size: GateSize, rates: CallRates) -> Limits:
    def needed(wanted: GateSize) -> Limits:
        return _needed(budget, gate_calls(wanted, rates=rates), margin=_MARGIN)

    limits = budget.limits
    tokens = _kept(limits.tokens, size, lambda wanted: needed(wanted).tokens or 0)
    return Limits(
        calls=kept_for_gate(limits.calls, size, rates=rates),
        tokens=None if limits.tokens is None or tokens is None else int(tokens),
        cost=_kept(limits.cost, size, lambda wanted: needed(wanted).cost or 0.0),
        seconds=_kept(limits.seconds, size, lambda wanted: needed(wanted).seconds or 0.0),
    )


def _kept(limit: float | None, size: GateSize, needed: Callable[[GateSize], float]) -> float | None:
    """What of ``limit`` is kept for the gate; without one what it takes, None where nothing is held out."""
    if not size.queries:
        return None
    if limit is None:
        return needed(size)
    for finalists in range(size.finalists, 1, -1):
        wanted = needed(dataclasses.replace(size, finalists=finalists))
        if wanted <= limit * MORE_FINALISTS_SHARE:
            return wanted
    least = dataclasses.replace(size, finalists=1, with_seed_prompt=False)
    return min(needed(least), limit * MAX_GATE_SHARE)


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
