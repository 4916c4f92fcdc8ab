"""Commits of the call ledger in groups: one transaction for all that waits.

One writer task per process commits everything that waits in one transaction, under the fences of the runs
concerned, and tells each caller when its line is durable.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Self, TypeAlias

from store.call_writes import CallWrite, write_calls
from store.connections import Database
from store.errors import LostLeaseError, StoreError

_MAX_BATCH: Final = 500
_WINDOW_SECONDS: Final = 0.01
"""An answer waits so long for an intent to be committed with: commits cost time that calls need."""
_TURNS: Final = 5
"""Answers that have come together are followed by their intents within so many turns of the loop: a commit of
all of them takes less than one of the first and another of the rest."""
Heard: TypeAlias = Callable[[Exception | None], None]
"""Told how a write has ended: None where it is durable."""


class GroupCommits:
    """The writer of one process. Use as ``async with commits``."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: deque[tuple[CallWrite, Heard]] = deque()
        self._due = asyncio.Event()
        self._window: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None]
        self._is_open = False

    async def __aenter__(self) -> Self:
        """Start the writer."""
        self._writer = asyncio.create_task(self._write_forever(), name="call ledger writer")
        self._is_open = True
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Write what waits, then stop."""
        self._is_open = False
        self._due.set()
        await self._writer

    async def commit(self, write: CallWrite, *, remember: Callable[[], None] | None = None) -> None:
        """Have ``write`` committed now, after all that was told before it, together with what waits.

        Args:
            write: what to write.
            remember: called once it is durable, also where the caller is cancelled meanwhile.

        Raises:
            StoreError: the ledger is closed.
            LostLeaseError: the lease is lost; nothing was written.
            StoreUnavailableError: the database cannot be reached.
        """
        committed = asyncio.get_running_loop().create_future()

        def heard(error: Exception | None) -> None:
            if error is None and remember is not None:
                remember()
            if not committed.done():  # a caller that was cancelled has stopped listening
                committed.set_result(error)

        self._submit(write, heard)
        self._due.set()
        error = await committed
        if error is not None:
            raise error

    def tell(self, write: CallWrite, heard: Heard) -> None:
        """Have ``write`` committed soon, after all that was told before it.

        Args:
            write: what to write.
            heard: called once it is durable, or with the reason why it was not written: those that ``commit``
                raises.

        Raises:
            StoreError: the ledger is closed.
        """
        self._submit(write, heard)
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(_WINDOW_SECONDS, self._due.set)

    def hurry(self) -> None:
        """Commit what waits now: somebody waits for an answer to be durable."""
        self._due.set()

    def _submit(self, write: CallWrite, heard: Heard) -> None:
        if not self._is_open:
            raise StoreError("the call ledger is closed")
        self._waiting.append((write, heard))

    async def _write_forever(self) -> None:
        while self._is_open or self._waiting:
            await self._due.wait()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._due.clear()
            if self._window is not None:
                self._window.cancel()
                self._window = None
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MAX_BATCH))]
            if self._waiting:
                self._due.set()
            if batch:
                await self._commit(batch)

    async def _commit(self, batch: "list[tuple[CallWrite, Heard]]") -> None:
        try:
            writes = [write for write, _ in batch]
            lost = await self._db.write(lambda connection: write_calls(connection, writes))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait have to hear of it
            for _, heard in batch:
                heard(error)
            return
        except asyncio.CancelledError:
            for _, heard in batch:
                heard(StoreError("the call ledger was stopped: nobody knows whether this was written"))
            raise
        for write, heard in batch:
            lease = write.lease
            heard(LostLeaseError(lease.optimization_id, lease.fence) if lease in lost else None)
