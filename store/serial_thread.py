"""A thread that does one thing after another for an event loop, with as little around each as there can be.

An executor makes two futures for each piece of work, one with locks of its own, and copies one to the other:
that takes longer than a small transaction on SQLite.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias, TypeVar

from store.errors import StoreUnavailableError

T = TypeVar("T")
_Piece: TypeAlias = tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Callable[[], Any]]


class SerialThread:
    """Does what it is given in order. It starts with the first piece of work."""

    def __init__(self, name: str) -> None:
        """A thread called ``name``."""
        self._name = name
        self._work: SimpleQueue[_Piece | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._is_closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, from the thread.

        Where the caller is cancelled, work that has not begun is left out; other work is done all the same.

        Raises:
            StoreUnavailableError: the thread is closed.
            Exception: whatever ``work`` raises.
        """
        if self._is_closed:
            raise StoreUnavailableError("the database is closed")
        if self._thread is None:
            self._thread = Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._work.put((loop, done, work))
        return await done

    def close(self) -> None:
        """End the thread once it has done what it was given."""
        self._is_closed = True
        self._work.put(None)

    def _serve(self) -> None:
        while (piece := self._work.get()) is not None:
            _do(*piece)
            del piece  # or what it holds would stay until there is more to do


def _do(loop: asyncio.AbstractEventLoop, done: asyncio.Future[Any], work: Callable[[], Any]) -> None:
    if done.cancelled():
        return
    try:
        result, error = work(), None
    except BaseException as failure:  # noqa: BLE001 - whatever it is, the one who waits has to hear of it
        result, error = None, failure
    with suppress(RuntimeError):  # the loop has ended, and may end at any moment: nobody waits there
        loop.call_soon_threadsafe(_tell, done, result, error)


def _tell(done: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if done.done():  # the caller was cancelled meanwhile
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
