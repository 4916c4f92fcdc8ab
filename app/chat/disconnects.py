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

    Args:
        receive: ASGI's, of a request whose body was read.
        work: what the client waits for; it has ended, one way or another, when this returns.

    Raises:
        ClientLeftError: the client has gone.
        Exception: whatever ``work`` raises.
    """
    leaving = asyncio.ensure_future(_disconnected(receive))
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait({leaving, working}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeftError
        return working.result()
    finally:
        for task in (leaving, working):
            task.cancel()
            task.add_done_callback(_retrieve)
        await asyncio.wait({leaving, working})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at a failure that nobody waits for any more, so that the loop does not report it as lost."""
    if not task.cancelled():
        task.exception()
