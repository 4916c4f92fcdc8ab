"""A job's events, read and written out once for all who follow them in this process."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import orjson

from optimizer.shared_calls import SharedCalls
from optimizer.types import JsonObject
from store.progress import ProgressLog
from store.records.optimizations import OptimizationRecord
from store.records.progress import EventRecord
from store.repositories.optimizations import OptimizationRepository

_WAIT_SECONDS = 15.0
_KEPT = 500

Annotate: TypeAlias = Callable[[OptimizationRecord, EventRecord], Awaitable[JsonObject]]
"""What is told of a job's event beside its own fields; it follows from what is on record."""


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """An event as followers get it; ``text`` is a JSON object."""

    seq: int
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in a row; ``is_end`` says that none will ever follow."""

    events: tuple[ShownEvent, ...]
    is_end: bool = False


class EventFeed:
    """One job's events. Use it through ``EventFeeds.follow``."""

    def __init__(
        self,
        optimizations: OptimizationRepository,
        progress: ProgressLog,
        optimization_id: str,
        annotate: Annotate,
        *,
        keep: int,
    ) -> None:
        """The events of an existing job; the last ``keep`` of those read stay in memory."""
        self.followers = 0
        self._optimizations = optimizations
        self._progress = progress
        self._id = optimization_id
        self._annotate = annotate
        self._latest: deque[ShownEvent] = deque(maxlen=keep)
        self._reads = SharedCalls[int, EventPage]()

    async def after(self, seq: int) -> EventPage:
        """The next events after ``seq``; none where there were none for a while.

        They come from memory, where it reaches that far back, else from the table, which all who stand at the
        same number wait for together. So nothing queues up for a follower who is slow.

        Raises:
            NotFoundError: the job has been deleted.
            StoreUnavailableError: the store cannot be read; so all hear who wait for this read.
        """
        if self._latest and self._latest[0].seq <= seq + 1 <= self._latest[-1].seq:
            return EventPage(tuple(event for event in self._latest if event.seq > seq))
        return await self._reads.run(seq, partial(self._read, seq))

    async def _read(self, seq: int) -> EventPage:
        # asked before the events are read: nothing follows a final status
        record = await self._optimizations.get(self._id)
        is_final = record.status.is_final
        patience = 0.0 if is_final else _WAIT_SECONDS
        events = await self._progress.wait_for_events(self._id, seq, timeout=patience)
        shown = tuple([await self._show(record, event) for event in events])
        self._keep(shown)
        return EventPage(shown, is_end=is_final and not shown)

    async def _show(self, record: OptimizationRecord, event: EventRecord) -> ShownEvent:
        body = {
            "seq": event.seq,
            "type": event.type,
            "at": event.at,
            **event.body,
            **await self._annotate(record, event),
        }
        return ShownEvent(event.seq, event.type, orjson.dumps(body).decode())

    def _keep(self, shown: tuple[ShownEvent, ...]) -> None:
        """Keep what is newer than the latest; what is kept has no gap."""
        latest = self._latest[-1].seq if self._latest else 0
        newer = [event for event in shown if event.seq > latest]
        if newer and newer[0].seq > latest + 1:
            self._latest.clear()
        self._latest.extend(newer)


class EventFeeds:
    """The feeds of the jobs that somebody follows in this process."""

    def __init__(
        self, optimizations: OptimizationRepository, progress: ProgressLog, *, keep: int = _KEPT
    ) -> None:
        """Feeds of jobs in ``optimizations``, with ``keep`` events of each in memory at most."""
        self._optimizations = optimizations
        self._progress = progress
        self._kept_events = keep
        self._feeds: dict[str, EventFeed] = {}

    @contextmanager
    def follow(self, optimization_id: str, annotate: Annotate) -> Iterator[EventFeed]:
        """The feed of an existing job; it ends with the context of its last follower.

        Args:
            optimization_id: the job.
            annotate: the same for all who follow this job.
        """
        feed = self._feeds.get(optimization_id)
        if feed is None:
            feed = self._feeds[optimization_id] = EventFeed(
                self._optimizations, self._progress, optimization_id, annotate, keep=self._kept_events
            )
        feed.followers += 1
        try:
            yield feed
        finally:
            feed.followers -= 1
            if not feed.followers:
                del self._feeds[optimization_id]
