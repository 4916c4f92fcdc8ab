"""A limit of time around what a task does: as ``asyncio.timeout``, which costs three times as much."""

import asyncio
from typing import Any, Self


class time_limit:  # noqa: N801 - stands where a function would
    """``with time_limit(seconds):`` gives up what the current task waits for inside when they are over.

    Raises:
        TimeoutError: they are.
    """

    __slots__ = ("_cancelling", "_expired", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        """A limit of ``seconds`` from where it is entered."""
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> Self:
        """Begin."""
        task: asyncio.Task[Any] | None = asyncio.current_task()
        if task is None:
            raise RuntimeError("only what a task does has a limit of time")
        self._task, self._cancelling = task, task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)
        return self

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """End; a cancellation from outside that came as well goes on."""
        self._timer.cancel()
        if (
            self._expired
            and self._task.uncancel() <= self._cancelling
            and isinstance(exc, asyncio.CancelledError)
        ):
            raise TimeoutError from exc

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()
