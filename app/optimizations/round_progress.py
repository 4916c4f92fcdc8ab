"""What a stream of events says beside a round's end: how far the job was then, and what it had taken."""

from bisect import bisect_right
from typing import Final

from app.optimizations.estimates import progress_after
from app.optimizations.tree_schemas import RoundSpend
from optimizer.types import JsonObject
from store.records.optimizations import OptimizationRecord
from store.records.progress import EventRecord, RoundRecord
from store.repositories.search_tree import SearchTreeRepository

ROUND_FINISHED: Final = "round_finished"


class RoundProgress:
    """For the events of one job; it reads each of its rounds once, as far as they come in order."""

    def __init__(self, tree: SearchTreeRepository) -> None:
        """Nothing is read yet."""
        self._tree = tree
        self._known: list[RoundRecord] = []

    async def tell(self, record: OptimizationRecord, event: EventRecord) -> JsonObject:
        """What is said beside an event's fields: with a round ``progress`` and ``spend``, else nothing."""
        if event.type != ROUND_FINISHED:
            return {}
        number = int(str(event.body["round"]))
        if self._last < number:
            found = await self._tree.rounds(record.id, after=self._last, until=number)
            # others who follow from elsewhere may have read some of them meanwhile
            self._known.extend(item for item in found if item.round > self._last)
        known = self._known[: bisect_right(self._known, number, key=lambda item: item.round)]
        if not known:
            return {}
        spend = RoundSpend.of(known[-1].spend)
        return {
            "progress": progress_after(record, known).model_dump(mode="json"),
            "spend": None if spend is None else spend.model_dump(mode="json"),
        }

    @property
    def _last(self) -> int:
        return self._known[-1].round if self._known else -1
