"""Comments in a stream that has gone quiet, so that proxies in between do not take it for dead."""

import asyncio
from collections.abc import Awaitable
from typing import Final, Self

from starlette.types import Send

COMMENT: Final = b": keep-alive\n\n"
_SOON: Final = 0.01
"""Seconds until another look while a comment is being sent."""


class KeepAlive:
    """Sends pieces of a body, and a comment wherever none came for a while.

    One timer serves a whole stream: a piece only notes its time.
    """

    def __init__(self, send: Send, *, seconds: float) -> None:
        """Pieces go to ``send``; a comment follows after ``seconds`` without one."""
        self._send = send
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._comment: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        self._timer = self._loop.call_later(self._seconds, self._look)
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()
            await asyncio.wait({self._comment})

    def send(self, piece: bytes) -> Awaitable[None]:
        """Send ``piece``, which ends where an event ends. There are very many: no coroutine of its own."""
        self._last = self._loop.time()
        return self._send({"type": "http.response.body", "body": piece, "more_body": True})

    def _look(self) -> None:
        quiet = self._loop.time() - self._last
        is_commenting = self._comment is not None and not self._comment.done()
        if quiet >= self._seconds and not is_commenting:
            self._comment = asyncio.ensure_future(self.send(COMMENT))
            self._comment.add_done_callback(_retrieve)
            quiet = 0.0
        self._timer = self._loop.call_later(max(self._seconds - quiet, _SOON), self._look)


def _retrieve(comment: asyncio.Future[None]) -> None:
    """Look at a failure, which the next piece meets as well, so that the loop does not report it as lost."""
    if not comment.cancelled():
        comment.exception()
