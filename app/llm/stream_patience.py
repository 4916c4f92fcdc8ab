"""How long a stream may take: to its first frame, from frame to frame, and in all."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from app.backend_settings import TimeoutSettings
from optimizer.errors import BackendUnavailableError

T = TypeVar("T")

_SOON = 1.0
"""Seconds until another look while the client, not the backend, is waited for."""


class StreamPatience:
    """The deadlines of one stream. Only frames move them: comments and pieces of a frame do not.

    One timer watches a whole stream, and is set again only when it goes off: ``asyncio.timeout`` around each
    piece takes a quarter of what a piece costs. Close it when the stream is done with.
    """

    def __init__(self, timeouts: TimeoutSettings, *, backend: str) -> None:
        """A stream that ``backend`` is asked for now, by the current task."""
        self._timeouts = timeouts
        self._backend = backend
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + timeouts.stream_seconds
        self._next = self._loop.time() + timeouts.first_token_seconds
        self._begun = False
        self._task: asyncio.Task[Any] | None = None
        self._waiting = False
        self._expired = False
        self._timer = self._loop.call_at(min(self._next, self._end), self._look)

    def close(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    def frame_came(self) -> None:
        """A frame is complete: the next one has all its time."""
        self._next = self._loop.time() + self._timeouts.idle_seconds
        if not self._begun:  # the timer may stand later than the shorter time that counts from now on
            self._begun = True
            self._set()

    async def wait(self, step: Awaitable[T]) -> T:
        """The result of ``step``, in which the backend is waited for.

        Raises:
            BackendUnavailableError: it took too long; ``step`` is cancelled.
        """
        with self.watch():
            self.waits()
            answer = await step
            self.has_read()
            return answer

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Watch the current task while it reads the stream, between ``waits`` and ``has_read``.

        Raises:
            BackendUnavailableError: the backend took too long; the task's step is cancelled.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream is read by a task")
        self._task = task
        cancelling = task.cancelling()
        try:
            yield
        except asyncio.CancelledError:
            # as asyncio.timeout does: a cancellation from outside that came as well goes on
            if self._expired and task.uncancel() <= cancelling:
                raise self._out_of_time() from None
            raise
        finally:
            self._waiting = False

    def waits(self) -> None:
        """The task begins to wait for the backend."""
        self._waiting = True

    def has_read(self) -> None:
        """Something has come."""
        self._waiting = False

    def _look(self) -> None:
        if self._loop.time() < min(self._next, self._end):
            self._set()
        elif self._waiting and self._task is not None:
            self._expired = True
            self._task.cancel()
        else:  # the client is what is waited for: look again when that may be over
            self._timer = self._loop.call_later(_SOON, self._look)

    def _set(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_at(min(self._next, self._end), self._look)

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
