"""How many examples a round of stage 1 takes: on record before any call is made because of it."""

from collections.abc import Callable, Mapping, Sequence

from typing_extensions import override

from optimizer.budget import Budget
from optimizer.examples.ports import RoundBudget


class RecordedRooms(RoundBudget):
    """As many examples as the budget still has calls for. Every attempt at a job decides the same."""

    def __init__(
        self, budget: Budget, recorded: Mapping[str, int], record: Callable[[str, int], None]
    ) -> None:
        """Room in ``budget``.

        Args:
            budget: the job's.
            recorded: what earlier attempts have decided.
            record: has a new decision on record before any later call is.
        """
        self._budget = budget
        self._recorded = recorded
        self._record = record

    @override
    def room(self, round_number: int, calls: Sequence[int]) -> int:
        name = f"refinement_round:{round_number}"
        known = self._recorded.get(name)
        if known is not None:
            return min(known, len(calls))
        count = len(calls)
        while count and self._budget.exhausted(sum(calls[:count])):
            count -= 1
        self._record(name, count)
        return count
