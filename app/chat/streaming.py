"""A streamed answer: the backend's frames as they come, and never a clean end that was none."""

import logging
from contextlib import AsyncExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.chat.answers import Reader
from app.chat.delivery import AnswerRecord
from app.chat.disconnects import ClientLeftError, while_client_listens
from app.chat.keep_alive import KeepAlive
from app.chat.sending import Sending
from app.client_watch import client_of
from app.llm.passthrough import Frames
from app.telemetry.current import timed
from app.telemetry.timing import Part
from optimizer.errors import ModelError

_LOGGER = logging.getLogger(__name__)
_STREAM_HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


class StreamedAnswer(Response):
    """Makes the call when it is sent, so that a client that leaves at any time ends it.

    Nothing is sent before the backend's first frame is there: until then a failure has its own status. After
    it, a failure is an error frame, and the stream ends without ``[DONE]``. What came together is sent
    together, and more is read when the client has taken that, but for what the connections hold.
    """

    def __init__(self, sending: Sending, record: AnswerRecord, *, keep_alive_seconds: float) -> None:
        """The answer to a request.

        Args:
            sending: its first call, which is not made yet.
            record: hears how it goes.
            keep_alive_seconds: a comment is sent where nothing else was for so long.
        """
        super().__init__()
        self._sending = sending
        self._record = record
        self._keep_alive_seconds = keep_alive_seconds

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ModelError: no stream began; nothing was sent.
        """
        try:
            with self._record:
                await while_client_listens(receive, self._relay(send), client_of(scope))
        except ClientLeftError:
            _LOGGER.info("a client left its stream from %s", self._sending.call.upstream_model)

    async def _relay(self, send: Send) -> None:
        async with AsyncExitStack() as stack:
            first, frames, more = await self._begun(stack)
            call, reader = self._sending.call, self._sending.call.reader
            headers = _STREAM_HEADERS | call.headers()
            raw = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
            async with KeepAlive(send, seconds=self._keep_alive_seconds) as pieces:
                try:
                    self._record.seen(1)
                    piece, error = self._read(reader, frames)
                    await pieces.send(first + piece)
                    self._record.first_frame_sent()
                    if error is not None:
                        raise error
                    async for frames in more:
                        piece, error = self._read(reader, frames)
                        if piece:
                            await pieces.send(piece)
                        if error is not None:
                            raise error
                    self._sending.keep_frames()
                except ModelError as error:
                    self._sending.broke(error)
                    self._record.end("failed", error)
                    _LOGGER.warning("a stream from %s broke: %s", call.upstream_model, error)
                    await pieces.send(reader.broken(error))
        await send({"type": "http.response.body", "body": b""})

    def _read(self, reader: Reader, frames: list[bytes]) -> tuple[bytes, ModelError | None]:
        """What ``frames`` become, up to one that is none: that is the other result."""
        pieces: list[bytes] = []
        try:
            for frame in frames:
                self._record.seen(1)  # backends send a token a frame, or a few
                pieces.append(reader.frame(frame))
        except ModelError as error:
            return b"".join(pieces), error
        return b"".join(pieces), None

    async def _begun(self, stack: AsyncExitStack) -> tuple[bytes, list[bytes], Frames]:
        """The first piece of the first stream that begins, what came with it, and what follows.

        The stream is open in ``stack``.
        """
        sending = self._sending
        await sending.begin()
        while True:
            call = sending.call
            try:
                stream = call.upstream.stream(sending.content, call.path)
                with timed(Part.UPSTREAM):
                    frames = sending.collected(await stack.enter_async_context(stream))
                    begun, *rest = await anext(frames)
                first = call.reader.frame(begun)
            except ModelError as error:
                await stack.aclose()  # nobody reads that stream any more
                await sending.go_on(error)
                continue
            sending.answered()
            return first, rest, frames
