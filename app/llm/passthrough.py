"""The serving path: a JSON body in, the backend's bytes out.

Nothing is retried here (``app.llm.routing`` says who is asked next), and no request waits behind a search's:
it takes its place at once, and the search gets what is left. A 429 that a user meets slows the search down.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeAlias

import aiohttp
import httpx
import orjson
from typing_extensions import override

from app.llm.connections import BackendResponse
from app.llm.errors import Origin, error_for_status, error_in_body, transport_errors
from app.llm.http import BackendClient, RawResponse, is_success, post, read_bounded
from app.llm.limits.limiter import BackendLimiter, Place
from app.llm.sse import DONE, FrameSplitter, payload
from app.llm.stream_patience import StreamPatience
from app.llm.wire import Path, read_json, read_usage
from app.settings import BackendSettings
from optimizer.errors import BackendUnavailableError, MalformedResponseError, ModelError
from optimizer.types import JsonValue

_ERROR_KEY = b'"error"'
_USAGE_KEY = b'"usage"'
_BYTES_PER_TOKEN = 4

Frames: TypeAlias = AsyncIterator[list[bytes]]
"""Complete SSE frames of a stream: those that have come together, at least one, are given together."""


class Upstream(Protocol):
    """Whom a served request is sent to: one model of one backend, or whatever chooses between several.

    Who takes another backend instead does so before the first frame only: what was sent on stands.
    """

    async def send(self, body: bytes, path: Path) -> RawResponse:
        """POST the JSON ``body`` and give back the whole 2xx response.

        Raises:
            ModelError: there is none; cancelling closes the connection.
        """
        ...

    def stream(self, body: bytes, path: Path) -> AbstractAsyncContextManager[Frames]:
        """POST the JSON ``body``, which asks for a stream, and wait for the first frame.

        Gives frames, ``data: [DONE]`` last. Leaving the context closes the connection, wherever
        the stream is.

        Raises:
            ModelError: no stream began. The iterator raises it as well, where the stream breaks, carries an
                error or ends without ``[DONE]``.
        """
        ...


class ModelUpstream(Upstream, Protocol):
    """One model of one backend.

    Attributes:
        origin: which.
    """

    origin: Origin


class Passthrough(ModelUpstream):
    """One model's raw interface."""

    def __init__(
        self,
        client: BackendClient,
        settings: BackendSettings,
        *,
        origin: Origin,
        limiter: BackendLimiter,
    ) -> None:
        """The interface to the model that ``origin`` names.

        Args:
            client: the backend's client; stays open.
            settings: the backend's time-outs and limits.
            origin: whom to ask.
            limiter: hears of requests and how they end.
        """
        self._client = client
        self._settings = settings
        self._limiter = limiter
        self.origin = origin

    @override
    async def send(self, body: bytes, path: Path) -> RawResponse:
        with self._limiter.serve() as place:
            with self._limiter.watch():
                response = await post(self._client, path, body, origin=self.origin, settings=self._settings)
                self._refuse_error(response.body, response.status)
            if self._limiter.counts_tokens:
                place.tokens = _tokens(response.body) or _guess(body) + _guess(response.body)
        return response

    @override
    @asynccontextmanager
    async def stream(self, body: bytes, path: Path) -> AsyncIterator[Frames]:
        patience = StreamPatience(self._settings.timeouts, backend=self.origin.backend)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(patience.close)
            place = stack.enter_context(self._limiter.serve())
            with self._limiter.watch():
                response = await patience.wait(self._open(body, path))
                stack.push_async_callback(_close, response)
                await patience.wait(self._check(response))
                frames = self._frames(response, patience)
                stack.push_async_callback(frames.aclose)
                first = await anext(frames)
            passed = _chain(first, frames)
            if self._limiter.counts_tokens:
                passed = _counted(passed, place, asked=_guess(body))
            yield passed

    async def _open(self, content: bytes, path: Path) -> BackendResponse:
        with transport_errors(self.origin):
            return await self._client.send(path, content)

    async def _check(self, response: BackendResponse) -> None:
        backend = self.origin.backend
        if not is_success(response.status):
            with transport_errors(self.origin):
                body = await read_bounded(
                    response, limit=self._settings.max_response_bytes, origin=self.origin
                )
            raise error_for_status(self.origin, response.status, response.headers, body)
        kind = response.headers.get("content-type", "")
        if not kind.startswith("text/event-stream"):
            raise MalformedResponseError(
                f"backend {backend} was asked for a stream and sent {kind or 'an untyped body'}",
                backend=backend,
                status=response.status,
            )

    async def _frames(
        self, response: BackendResponse, patience: StreamPatience
    ) -> AsyncGenerator[list[bytes], None]:
        backend = self.origin.backend
        splitter = FrameSplitter()
        with transport_errors(self.origin), patience.watch():
            patience.waits()
            async for chunk in response.pieces():
                patience.has_read()
                frames, error = self._good(splitter.feed(chunk), response.status)
                if frames:
                    is_last = frames[-1] == DONE
                    if is_last:
                        response.finish()
                    yield frames
                    if is_last:
                        return
                    patience.frame_came()
                if error is not None:
                    raise error
                if splitter.pending > self._settings.max_response_bytes:
                    raise MalformedResponseError(
                        f"backend {backend} sent a frame without an end "
                        f"(backends.{backend}.max_response_bytes)",
                        backend=backend,
                    )
                patience.waits()
        if last := splitter.finish():
            yield last
            return
        raise BackendUnavailableError(
            f"backend {backend} ended a stream before [DONE]", backend=backend, status=response.status
        )

    def _good(self, frames: list[bytes], status: int) -> tuple[list[bytes], ModelError | None]:
        """The frames up to the stream's end, or up to one that is an error, which is the other result."""
        for place, frame in enumerate(frames):
            if frame == DONE:
                return frames[: place + 1], None
            if _ERROR_KEY in frame:
                try:
                    self._refuse_error(frame, status, framed=True)
                except ModelError as error:
                    return frames[:place], error
        return frames, None

    def _refuse_error(self, content: bytes, status: int, *, framed: bool = False) -> None:
        if _ERROR_KEY not in content:
            return
        text = payload(content) if framed else content
        error = error_in_body(self.origin, read_json(text, backend=self.origin.backend), status, content=text)
        if error is not None:
            raise error


async def _chain(first: list[bytes], rest: Frames) -> Frames:
    yield first
    async for frames in rest:
        yield frames


async def _counted(stream: Frames, place: Place, *, asked: int) -> Frames:
    """``stream``, whose tokens are counted: as it says itself, else about one for each frame."""
    told, guessed = 0, asked
    async for frames in stream:
        for frame in frames:
            told = (_USAGE_KEY in frame and _tokens(payload(frame))) or told
        guessed += len(frames)
        place.tokens = told or guessed
        yield frames


def _tokens(content: bytes) -> int:
    """What a body or an event says that was used; 0 where it does not say."""
    try:
        value: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError:
        return 0
    usage = read_usage(value.get("usage")) if isinstance(value, dict) else None
    return 0 if usage is None else usage.total_tokens


def _guess(content: bytes) -> int:
    return len(content) // _BYTES_PER_TOKEN


async def _close(response: BackendResponse) -> None:
    """A connection that is already broken may say so again when it is closed; nobody needs to hear it."""
    with contextlib.suppress(httpx.HTTPError, aiohttp.ClientError, OSError):
        await response.aclose()
