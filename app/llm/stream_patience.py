"""How long a stream may take: to its first frame, from frame to frame, and in all."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from app.backend_settings import TimeoutSettings
from optimizer.errors import BackendUnavailableError

T = TypeVar("T")


class StreamPatience:
    """The deadlines of one stream. Only frames move them: comments and pieces of a frame do not."""

    def __init__(self, timeouts: TimeoutSettings, *, backend: str) -> None:
        """A stream that ``backend`` is asked for now."""
        self._timeouts = timeouts
        self._backend = backend
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + timeouts.stream_seconds
        self._next = self._loop.time() + timeouts.first_token_seconds
        self._begun = False

    def frame_came(self) -> None:
        """A frame is complete: the next one has all its time."""
        self._begun = True
        self._next = self._loop.time() + self._timeouts.idle_seconds

    async def wait(self, step: Awaitable[T]) -> T:
        """The result of ``step``, in which the backend is waited for.

        Raises:
            BackendUnavailableError: it took too long; ``step`` is cancelled.
        """
        scope = asyncio.timeout_at(min(self._next, self._end))
        try:
            async with scope:
                return await step
        except TimeoutError:
            if not scope.expired():
                raise
            raise self._out_of_time() from None

    def _out_of_time(self) -> BackendUnavailableError:
        times, backend = self._timeouts, self._backend
        if self._end <= self._next:
            said = f"did not end its stream in {times.stream_seconds} s"
            setting = "stream_seconds"
        elif self._begun:
            said, setting = f"went silent in a stream for {times.idle_seconds} s", "idle_seconds"
        else:
            said, setting = f"began no stream in {times.first_token_seconds} s", "first_token_seconds"
        return BackendUnavailableError(
            f"backend {backend} {said} (backends.{backend}.timeouts.{setting})", backend=backend
        )
