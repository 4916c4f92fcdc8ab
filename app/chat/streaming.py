"""A streamed answer: the backend's frames as they come, and never a clean end that was none."""

import logging

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.chat.disconnects import ClientLeftError, while_client_listens
from app.chat.service import ChatCall
from app.errors import answer_to
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
    it, a failure is an error frame, and the stream ends without ``[DONE]``.
    """

    def __init__(self, call: ChatCall) -> None:
        super().__init__()
        self._call = call

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ModelError: no stream began; nothing was sent.
        """
        try:
            await while_client_listens(receive, self._relay(send))
        except ClientLeftError:
            _LOGGER.info("a client left its stream from %s", self._call.upstream_model)

    async def _relay(self, send: Send) -> None:
        call, reader = self._call, self._call.reader
        async with call.upstream.stream(call.body, call.path) as stream:
            first = reader.frame(await anext(stream.frames))
            headers = _STREAM_HEADERS | call.headers()
            raw = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
            try:
                await _send_piece(send, first)
                async for frame in stream.frames:
                    await _send_piece(send, reader.frame(frame))
            except ModelError as error:
                _LOGGER.warning("a stream from %s broke: %s", call.upstream_model, error)
                await _send_piece(send, _error_frame(error))
        await send({"type": "http.response.body", "body": b""})


async def _send_piece(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})


def _error_frame(error: ModelError) -> bytes:
    answer = answer_to(error)
    if answer is None:
        raise error
    return b"data: " + orjson.dumps(answer.body()) + b"\n\n"
