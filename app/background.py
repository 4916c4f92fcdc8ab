"""Work that is done again and again beside everything else, and is never cut short in a transaction."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from store.errors import StoreUnavailableError

_LOGGER = logging.getLogger(__name__)
_LAST_SECONDS = 10.0
"""For the work that is under way when all is to end."""


class BackgroundLoop:
    """Does ``work`` every few seconds; leaving the block waits for what is under way. Use as ``async with``.

    A failure is logged and the work is done again: a service whose background has stopped looks healthy.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[int]], *, every_seconds: float) -> None:
        """A loop.

        Args:
            name: of what it does, for the log.
            work: says how much it has done; it is done again at once where that was something.
            every_seconds: longest pause.
        """
        self._name = name
        self._work = work
        self._every_seconds = every_seconds
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start."""
        self._task = asyncio.create_task(self._run(), name=self._name)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop after what is under way."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_LAST_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task])

    def wake(self) -> None:
        """Do it now."""
        self._wake.set()

    async def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            done = 0
            try:
                done = await self._work()
            except StoreUnavailableError as error:
                _LOGGER.warning("%s: waiting for the store: %s", self._name, error)
            except Exception:
                _LOGGER.exception("%s: failed; trying again", self._name)
            if done or self._closing:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_seconds):
                    await self._wake.wait()
