"""Stopping work whose client has gone away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientLeftError(Exception):
    """The client closed its connection; nobody waits for the answer."""


async def while_client_listens(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled when the client goes first.

    It is done by the current task: only who watches the client is a task beside it.

    Args:
        receive: ASGI's, of a request whose body was read.
        work: what the client waits for; it has ended, one way or another, when this returns.

    Raises:
        ClientLeftError: the client has gone.
        Exception: whatever ``work`` raises.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a request is answered by a task")
    watch = _Watch(task)
    leaving = asyncio.ensure_future(_disconnected(receive))
    leaving.add_done_callback(watch.leave)
    try:
        result = await work
    except (Exception, asyncio.CancelledError):
        if watch.settle():
            raise ClientLeftError from None  # whatever the work said when it was stopped
        raise
    finally:
        leaving.remove_done_callback(watch.leave)
        leaving.add_done_callback(_retrieve)
        leaving.cancel()
    if watch.settle():
        raise ClientLeftError
    return result


class _Watch:
    """Cancels a task once, and takes that back once."""

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self._cancelling = task.cancelling()
        self._has_left = False

    def leave(self, leaving: "asyncio.Future[None]") -> None:
        """The client has gone."""
        _retrieve(leaving)
        self._has_left = True
        self._task.cancel()

    def settle(self) -> bool:
        """Take the cancellation back; whether there was one, and no other from outside, which goes on."""
        if not self._has_left:
            return False
        return self._task.uncancel() <= self._cancelling


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _retrieve(task: "asyncio.Future[None]") -> None:
    """Look at a failure that nobody waits for any more, so that the loop does not report it as lost."""
    if not task.cancelled():
        task.exception()
