"""Stopping work whose client has gone away."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from app.client_watch import ClientWatch

T = TypeVar("T")


class ClientLeftError(Exception):
    """The client closed its connection; nobody waits for the answer."""


async def while_client_listens(
    receive: Receive, work: Coroutine[Any, Any, T], client: ClientWatch | None = None
) -> T:
    """The result of ``work``, which is cancelled when the client goes first.

    It is done by the current task: only who watches the client is a task beside it, where the server does not
    do that.

    Args:
        receive: ASGI's, of a request whose body was read.
        client: tells when it leaves; None has ``receive`` asked.
        work: what the client waits for; it has ended, one way or another, when this returns.

    Raises:
        ClientLeftError: the client has gone.
        Exception: whatever ``work`` raises.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a request is answered by a task")
    watch = _Watch(task)
    forget = _ask(receive, watch) if client is None else _listen(client, watch)
    try:
        result = await work
    except (Exception, asyncio.CancelledError):
        if watch.settle():
            raise ClientLeftError from None  # whatever the work said when it was stopped
        raise
    finally:
        forget()
    if watch.settle():
        raise ClientLeftError
    return result


class _Watch:
    """Cancels a task once, and takes that back once."""

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self._cancelling = task.cancelling()
        self._has_left = False

    def leave(self) -> None:
        """The client has gone."""
        self._has_left = True
        self._task.cancel()

    def told(self, leaving: "asyncio.Future[None]") -> None:
        """Who was to wait until the client goes has come to an end."""
        _retrieve(leaving)
        self.leave()

    def settle(self) -> bool:
        """Take the cancellation back; whether there was one, and no other from outside, which goes on."""
        if not self._has_left:
            return False
        return self._task.uncancel() <= self._cancelling


def _listen(client: ClientWatch, watch: _Watch) -> Callable[[], None]:
    """Have ``watch`` told by the server; returns what ends that."""
    leave = watch.leave
    client.listen(leave)
    return lambda: client.forget(leave)


def _ask(receive: Receive, watch: _Watch) -> Callable[[], None]:
    """Have ``watch`` told by a task that asks the server; returns what ends that."""
    leaving = asyncio.ensure_future(_disconnected(receive))
    leaving.add_done_callback(watch.told)

    def forget() -> None:
        leaving.remove_done_callback(watch.told)
        leaving.add_done_callback(_retrieve)
        leaving.cancel()

    return forget


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _retrieve(task: "asyncio.Future[None]") -> None:
    """Look at a failure that nobody waits for any more, so that the loop does not report it as lost."""
    if not task.cancelled():
        task.exception()
