"""Work that is done again and again beside everything else, and is never cut short in a transaction."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Self

from store.errors import StoreUnavailableError

_LOGGER = logging.getLogger(__name__)
_LAST_SECONDS = 10.0
"""For the work that is under way when all is to end."""

FAILURES: Final[Counter[str]] = Counter()
"""How often work has failed in this process, by the name of its loop."""


class BackgroundLoop:
    """Does ``work`` every few seconds; leaving the block waits for what is under way. Use as ``async with``.

    Nobody knows whether a write that is cancelled was committed, so none is. A failure is logged and the work
    is done again: a service whose background has stopped looks healthy.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[int | None]],
        *,
        every_seconds: float,
        waits_first: bool = False,
        last: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """A loop.

        Args:
            name: of what it does, for the log.
            work: says how much it has done; it is done again at once where that was something.
            every_seconds: longest pause.
            waits_first: a pause comes before the first time, too: for what a start should not have to do.
            last: what is done once more when all ends.
        """
        self._name = name
        self._work = work
        self._every_seconds = every_seconds
        self._waits_first = waits_first
        self._last = last
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start."""
        self._task = asyncio.create_task(self._run(), name=self._name)
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Stop after what is under way and what is to be done last."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_LAST_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._last is not None:
            try:
                await self._last()
            except StoreUnavailableError as error:
                _LOGGER.warning("%s: what was left is lost: %s", self._name, error)

    def wake(self) -> None:
        """Do it now."""
        self._wake.set()

    async def _run(self) -> None:
        if self._waits_first:
            await self._pause()
        while not self._closing:
            self._wake.clear()
            if not await self._attempt() and not self._closing:
                await self._pause()

    async def _attempt(self) -> int | None:
        try:
            return await self._work()
        except StoreUnavailableError as error:
            _LOGGER.warning("%s: waiting for the store: %s", self._name, error)
        except Exception:
            _LOGGER.exception("%s: failed; trying again", self._name)
        FAILURES[self._name] += 1
        return None

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._every_seconds):
                await self._wake.wait()
