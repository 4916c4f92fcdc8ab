"""One call for all who ask for the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Call(Generic[V]):
    task: asyncio.Task[V]
    askers: int = 0


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at a failure that nobody waits for any more, so that the loop does not report it as lost."""
    if not task.cancelled():
        task.exception()


class SharedCalls(Generic[K, V]):
    """Lets concurrent askers share a call. Results and failures are forgotten when it ends."""

    def __init__(self) -> None:
        self._calls: dict[K, _Call[V]] = {}

    async def run(self, key: K, start: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The result of the call for ``key`` that is under way, or of a new one.

        An asker that is cancelled leaves the call to the others; when the last one leaves, the call is
        cancelled, and that asker goes only when it has ended.

        Raises:
            Exception: whatever the call raised, to each of its askers.
        """
        call = self._calls.get(key)
        if call is None or call.task.done():
            call = self._calls[key] = _Call(asyncio.create_task(start()))
            call.task.add_done_callback(_retrieve)
        call.askers += 1
        try:
            return await asyncio.shield(call.task)
        finally:
            call.askers -= 1
            if not call.askers:
                await self._end(key, call)

    async def _end(self, key: K, call: _Call[V]) -> None:
        if self._calls.get(key) is call:
            del self._calls[key]
        if not call.task.done():
            call.task.cancel()
            await asyncio.wait({call.task})
