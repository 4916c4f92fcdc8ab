"""One call for all who ask for the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Call(Generic[V]):
    task: asyncio.Task[V]
    askers: list[asyncio.Future[V]] = field(default_factory=list)

    def tell(self, task: asyncio.Task[V]) -> None:
        """The call has ended. Its failure is looked at, or the loop would report it where nobody waits."""
        error = None if task.cancelled() else task.exception()
        for asker in self.askers:
            if asker.done():  # it was cancelled
                continue
            if task.cancelled():
                asker.cancel()
            elif error is not None:
                asker.set_exception(error)
            else:
                asker.set_result(task.result())


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
            call.task.add_done_callback(call.tell)
        asked: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        call.askers.append(asked)
        try:
            return await asked
        finally:
            call.askers.remove(asked)
            if not call.askers:
                await self._end(key, call)

    async def _end(self, key: K, call: _Call[V]) -> None:
        if self._calls.get(key) is call:
            del self._calls[key]
        if not call.task.done():
            call.task.cancel()
            await asyncio.wait({call.task})
