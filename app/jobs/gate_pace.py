"""How many held-out queries a job compares at the same time, so that its budget ends between queries."""

import math

from typing_extensions import override

from optimizer.budget import Budget, Limits
from optimizer.estimate import CallRates, GateSize, gate_calls
from optimizer.protocols import Pace
from optimizer.types import Spend

FIRST = 4
"""Queries that are begun before any has shown what one takes."""

MOST_AT_ONCE = 16
"""Queries under way under any limit: as many may be lost half done where the time is over."""


class GatePace(Pace):
    """Begins queries as long as the budget probably takes them to their end.

    What a query takes is planned at first, and then measured: a budget ends in the middle of a gate because
    of retries and repairs, which nobody plans for. Without a limit all queries are begun at once.
    """

    def __init__(self, budget: Budget, *, contenders: int, rates: CallRates) -> None:
        """The pace of a gate that begins now, and in which ``contenders`` answer each query."""
        self._budget = budget
        self._before = budget.counted
        size = GateSize(queries=1, finalists=contenders - 1, with_seed_prompt=False, judged_again=0)
        self._planned = gate_calls(size, rates=rates)

    @override
    def may_begin(self, *, ended: int, under_way: int) -> bool:
        if self._budget.limits == Limits():
            return True
        most = MOST_AT_ONCE if ended else FIRST
        return under_way < most and self._budget.covers(self._needed(ended, under_way + 1))

    def _needed(self, ended: int, queries: int) -> Limits:
        """What ``queries`` queries take at most, by those that have ended and by what was planned."""
        spent, largest = self._budget.counted, self._budget.largest
        share = queries / max(1, ended)
        measured = Spend(
            calls=math.ceil((spent.calls - self._before.calls) * share),
            prompt_tokens=math.ceil((spent.tokens - self._before.tokens) * share),
            cost=(spent.cost - self._before.cost) * share,
        )
        return Limits(
            calls=max(measured.calls, self._planned * queries),
            tokens=measured.tokens + largest.tokens,
            cost=measured.cost + largest.cost,
        )
