"""A request on its way to a backend, and to the next one where that does not answer."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from app.chat.calls import PreparedCall
from app.errors import ApiError
from optimizer.errors import ModelError
from store.errors import StoreUnavailableError

Moved: TypeAlias = Callable[[PreparedCall, int, ModelError], Awaitable[None]]
"""Hears of the next call, its length in bytes, and why the last one ended; refuses what cannot be paid."""


class Sending:
    """The call that is being made for a request, until something of an answer is sent to its caller.

    Attributes:
        call: the one under way.
        content: what it sends.
    """

    def __init__(self, call: PreparedCall, content: bytes, *, moved: Moved, headers: dict[str, str]) -> None:
        """A request that begins with ``call``.

        Args:
            call: the first one.
            content: what it sends.
            moved: hears of each further one.
            headers: what any answer is sent with; the way of the request is told here.
        """
        self.call = call
        self.content = content
        self._moved = moved
        self._headers = headers
        if call.detours is not None:
            headers.update(call.detours.headers())

    def answered(self) -> None:
        """The call has an answer, or the beginning of one."""
        if self.call.detours is not None:
            self.call.detours.answered()

    def broke(self, error: ModelError) -> None:
        """An answer that had begun has ended in ``error``."""
        if self.call.detours is not None:
            self.call.detours.broke(error)

    async def go_on(self, error: ModelError) -> None:
        """Make another call after one that ended in ``error``.

        Raises:
            ModelError: ``error``, where no other call is made.
        """
        detours = self.call.detours
        found = None if detours is None else await detours.after(error)
        if found is None or detours is None:
            raise error
        try:
            content = found.content()
            await self._moved(found, len(content), error)
        except (ApiError, StoreUnavailableError):
            raise error from None  # another attempt cannot be paid for: the last answer stands
        self.call, self.content = found, content
        self._headers.update(detours.headers())
