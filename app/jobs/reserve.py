"""How a job's budget is shared between the search and the gate."""

from typing_extensions import override

from app.jobs.decisions import Decisions
from optimizer.budget import Budget
from optimizer.estimate import USUAL_RATES, CallRates, gate_calls
from optimizer.gate import MIN_PAIRS
from optimizer.protocols import StopCondition

MAX_GATE_SHARE = 0.4
"""Of a budget of calls, kept for the gate at most: a gate without a search has nothing to compare."""


def kept_for_gate(budget_calls: int | None, held_out: int, *, rates: CallRates = USUAL_RATES) -> int:
    """Calls of a budget that the search leaves to the gate."""
    wanted = gate_calls(held_out, rates=rates)
    return wanted if budget_calls is None else min(wanted, int(budget_calls * MAX_GATE_SHARE))


class KeepForGate(StopCondition):
    """Ends the search while there is still enough for the comparison on held-out queries."""

    def __init__(
        self, budget: Budget, *, held_out: int, decisions: Decisions, rates: CallRates = USUAL_RATES
    ) -> None:
        """Keep of ``budget`` what ``held_out`` queries take, and repeat the ``decisions`` on record."""
        self._budget = budget
        self._decisions = decisions
        self._asked = 0
        self._kept = kept_for_gate(budget.limits.calls, held_out, rates=rates)

    @override
    def exhausted(self, calls_needed: int) -> bool:
        self._asked += 1
        if self._asked > self._decisions.rounds and (
            self._decisions.search_ended or self._budget.exhausted(calls_needed + self._kept)
        ):
            return True
        self._decisions.begin_round(self._asked)
        return False


def affordable(budget: Budget, held_out: int, *, rates: CallRates = USUAL_RATES) -> int:
    """How many of ``held_out`` queries the gate can still pay for; 0 where too few to conclude anything."""
    count = held_out
    while count and budget.exhausted(gate_calls(count, rates=rates)):
        count -= 1
    return count if count >= min(MIN_PAIRS, held_out) else 0
