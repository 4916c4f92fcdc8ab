"""Recording a run's events in the background, in their order, whatever waits in one transaction."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Self, TypeVar

from optimizer.types import JsonObject
from store.progress import ProgressLog
from store.records.optimizations import Lease
from store.records.progress import ProgressBatch

E = TypeVar("E")

_MAX_BATCH = 200
_LAST_SECONDS = 2.0
"""For the last events of a run that failed or was stopped; a replay announces them again."""
_GROUP_SECONDS = 0.5
"""Events are gathered for so long: people look on, and the ledger waits for the same connection."""


class BackgroundRecorder(ABC, Generic[E]):
    """Writes events that it is told.

    A run never waits for it: what a kill loses here is announced again when the run is replayed from the call
    ledger. Use as ``async with recorder``; leaving the block writes what waits.

    Attributes:
        provenance: models and template versions.
        spend: what the run has spent by now.
    """

    def __init__(
        self,
        log: ProgressLog,
        lease: Lease,
        provenance: JsonObject,
        *,
        spend: Callable[[], JsonObject],
        answers_kept: Callable[[], Awaitable[object]],
    ) -> None:
        """A recorder for the run under ``lease``.

        Args:
            log: where to write.
            lease: the run's.
            provenance: models and template versions, stored with each evaluation.
            spend: what the run has spent by now, stored with each round.
            answers_kept: returns when all answers so far are in the ledger: what follows from them must not
                be on record without them.
        """
        self._log = log
        self._lease = lease
        self.provenance = provenance
        self.spend = spend
        self._answers_kept = answers_kept
        self._waiting: asyncio.Queue[E | None] = asyncio.Queue()
        self._ending = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the writer."""
        self._writer = asyncio.create_task(self._write_forever(), name="run recorder")
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Write what waits, then stop; where the block has failed, not for long.

        Raises:
            LostLeaseError: the lease was lost; only where the block itself did not fail.
        """
        if self._writer is not None:
            self._waiting.put_nowait(None)
            self._ending.set()
            try:
                if exc is None:
                    await asyncio.wait([self._writer])
            finally:  # also where this wait is cancelled: whoever has the lease next must find it at rest
                await _come_to_rest(self._writer)
            if exc is None:
                self._writer.result()
            elif not self._writer.cancelled():
                self._writer.exception()

    async def notify(self, event: E) -> None:
        """Have ``event`` recorded.

        Raises:
            LostLeaseError: the lease was lost.
        """
        if self._writer is not None and self._writer.done():
            self._writer.result()
        self._waiting.put_nowait(event)

    async def _write_forever(self) -> None:
        is_open = True
        while is_open:
            waiting = [await self._waiting.get()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GROUP_SECONDS):
                    await self._ending.wait()
            while len(waiting) < _MAX_BATCH and not self._waiting.empty():
                waiting.append(self._waiting.get_nowait())
            is_open = None not in waiting
            events = [event for event in waiting if event is not None]
            if events:
                await self._answers_kept()
                await self._log.record(self._lease, self._batch(events))

    @abstractmethod
    def _batch(self, events: Sequence[E]) -> ProgressBatch:
        """What is recorded of ``events``."""


async def _come_to_rest(writer: asyncio.Task[None]) -> None:
    await asyncio.wait([writer], timeout=_LAST_SECONDS)
    writer.cancel()
    await asyncio.wait([writer])
