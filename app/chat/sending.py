"""A request on its way to a backend, and to the next one where that does not answer."""

from collections.abc import AsyncIterator
from typing import Protocol

from typing_extensions import override

from app.chat.calls import PreparedCall
from app.chat.kept_answers import Keeping
from app.errors import ApiError
from app.llm.passthrough import Frames
from app.telemetry.current import timed
from app.telemetry.timing import Part
from optimizer.errors import ModelError
from store.errors import StoreUnavailableError


class CallRecord(Protocol):
    """Hears which calls are made for a request."""

    async def moved(self, call: PreparedCall, size: int, error: ModelError) -> None:
        """The request goes on with ``call`` after one that ended in ``error``.

        Args:
            call: the next one.
            size: of what it sends, in bytes.
            error: of the last one.

        Raises:
            ApiError / StoreUnavailableError: the caller's quota has no room for it: then nothing has changed.
        """
        ...

    def remembered(self, call: PreparedCall) -> None:
        """The request is answered by ``call``, which asks nobody: it gives a kept answer."""
        ...


class Sending:
    """The call that is being made for a request, until something of an answer is sent to its caller.

    Attributes:
        call: the one under way.
        content: what it sends.
    """

    def __init__(
        self,
        call: PreparedCall,
        content: bytes,
        *,
        record: CallRecord,
        headers: dict[str, str],
        keeping: Keeping | None = None,
    ) -> None:
        """A request that begins with ``call``.

        Args:
            call: the first one.
            content: what it sends.
            record: hears of each further one.
            headers: what any answer is sent with; the way of the request is told here.
            keeping: the kept answers that it may have.
        """
        self.call = call
        self.content = content
        self._record = record
        self._headers = headers
        self._keeping = keeping
        self._collected: _Collected | None = None

    async def begin(self) -> None:
        """Look whether an answer is kept; say how the request goes on its way."""
        if self._keeping is not None:
            self.call = await self._keeping.find(self.call, self._headers)
            if self._keeping.found is not None:
                self._record.remembered(self.call)
        self._tell_way()

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
        with timed(Part.QUEUE):
            found = None if detours is None else await detours.after(error)
        if found is None:
            raise error
        try:
            content = found.content()
            with timed(Part.STORE):
                await self._record.moved(found, len(content), error)
        except (ApiError, StoreUnavailableError):
            raise error from None  # another attempt cannot be paid for: the last answer stands
        self.call, self.content = found, content
        self._tell_way()

    def collected(self, frames: Frames) -> Frames:
        """``frames`` of the call's answer, which ``keep_frames`` keeps where that is wanted."""
        if self._keeping is None or self._keeping.most_bytes < 0:
            return frames
        self._collected = _Collected(frames, most_bytes=self._keeping.most_bytes)
        return self._collected

    def keep_frames(self) -> None:
        """All that ``collected`` has given was good."""
        if self._collected is not None and self._collected.pieces is not None:
            self.keep(b"".join(self._collected.pieces))

    def keep(self, content: bytes) -> None:
        """``content`` is the call's answer, and good."""
        if self._keeping is not None:
            self._keeping.keep(self.call, content)

    def _tell_way(self) -> None:
        if self.call.detours is not None:
            self._headers.update(self.call.detours.headers())


class _Collected(AsyncIterator[list[bytes]]):
    """Passes frames on and holds them.

    Attributes:
        pieces: those that have come; None once they are too many.
    """

    def __init__(self, frames: Frames, *, most_bytes: int) -> None:
        self.pieces: list[bytes] | None = []
        self._frames = frames
        self._left = most_bytes

    @override
    async def __anext__(self) -> list[bytes]:
        frames = await anext(self._frames)
        self._left -= sum(map(len, frames))
        if self._left < 0:
            self.pieces = None
        elif self.pieces is not None:
            self.pieces += frames
        return frames
