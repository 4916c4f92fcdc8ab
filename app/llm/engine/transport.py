"""The engine in place of a network: an httpx transport that answers requests with it."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import Final, TypeAlias

import httpx
import orjson
from typing_extensions import override

from app.llm.engine.answers import error_body, first_frames, frames, last_frames, whole_body
from app.llm.engine.library import open_engine
from app.llm.engine.port import Engine, EngineDiedError, RefusedByEngineError, RequestOutput
from app.llm.engine.requests import EngineRequest, count_tokens, read_request
from app.llm.wire import PATHS, Api
from app.vllm_settings import EngineSettings
from optimizer.shared_calls import SharedCalls

_LOGGER = logging.getLogger(__name__)
_TOKENIZE: Final = "/tokenize"
_APIS: Final[tuple[Api, ...]] = ("chat", "completions")

OpenEngine: TypeAlias = Callable[[EngineSettings], Engine]


class EngineTransport(httpx.AsyncBaseTransport):
    """Answers chat and completions requests to any host with one engine, and counts their tokens.

    It is loaded for the first request, and again after it has died.
    """

    def __init__(self, settings: EngineSettings, *, open_with: OpenEngine = open_engine) -> None:
        """Nothing is loaded yet; ``open_with`` does that in a thread."""
        self._settings = settings
        self._open_with = open_with
        self._opening: SharedCalls[str, Engine] = SharedCalls()
        self._engine: Engine | None = None
        # one thread: tokenizers cannot be used by two at once
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="requests to the engine")

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer ``request``; who is cancelled aborts it in the engine."""
        api = next((one for one in _APIS if request.url.path.endswith(f"/{PATHS[one]}")), None)
        if api is None and not request.url.path.endswith(_TOKENIZE):
            return _error(request, 404, "the engine in this process does not offer this API")
        try:
            engine = await self._loaded()
        except Exception as error:
            _LOGGER.exception("the engine could not be loaded")
            return _error(request, 503, f"the engine could not be loaded: {type(error).__name__}: {error}")
        return await self._answer(request, engine, api)

    @override
    async def aclose(self) -> None:
        """End the engine."""
        self._reading.shutdown(wait=False)
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.to_thread(engine.close)

    async def _loaded(self) -> Engine:
        if self._engine is None:
            self._engine = await self._opening.run("engine", self._load)
        return self._engine

    async def _load(self) -> Engine:
        _LOGGER.info("loading %s into this process", self._settings.model)
        return await asyncio.to_thread(self._open_with, self._settings)

    async def _answer(self, request: httpx.Request, engine: Engine, api: Api | None) -> httpx.Response:
        try:
            if api is None:
                return await self._counted(request, engine)
            return await self._asked(request, engine, api)
        except orjson.JSONDecodeError as error:
            return _error(request, 400, f"the body is not JSON: {error}")
        except (LookupError, RefusedByEngineError) as error:
            return _error(request, 404 if isinstance(error, LookupError) else 400, str(error))
        except EngineDiedError as error:
            await self._bury(engine)
            return _error(request, 500, str(error))

    async def _counted(self, request: httpx.Request, engine: Engine) -> httpx.Response:
        body = orjson.loads(await request.aread())
        count = partial(count_tokens, body, name=self._settings.served_name, engine=engine)
        counted = await asyncio.get_running_loop().run_in_executor(self._reading, count)
        about = {"count": counted, "max_model_len": engine.context}
        return _response(request, 200, orjson.dumps(about))

    async def _asked(self, request: httpx.Request, engine: Engine, api: Api) -> httpx.Response:
        body = orjson.loads(await request.aread())
        read = partial(read_request, body, api=api, name=self._settings.served_name, engine=engine)
        asked = await asyncio.get_running_loop().run_in_executor(self._reading, read)
        outputs = engine.generate(
            asked.tokens, asked.sampling, streams=asked.streams, priority=asked.priority
        )
        name, created = f"cmpl-{uuid.uuid4().hex}", int(time.time())  # noqa: TID251 - the protocol's field
        if asked.streams:
            return await _stream(request, _frames(name, outputs, asked, api=api, created=created))
        async with aclosing(outputs):
            output = await anext(outputs)
        return _response(request, 200, whole_body(name, output, asked, api=api, created=created))

    async def _bury(self, dead: Engine) -> None:
        """Have the next request load another one."""
        if self._engine is dead:
            self._engine = None
            await asyncio.to_thread(dead.close)


async def _stream(request: httpx.Request, pieces: AsyncGenerator[bytes, None]) -> httpx.Response:
    """A response that begins once there is something to say: until then a refusal can have its status."""
    try:
        first = await anext(pieces)
    except BaseException:
        await pieces.aclose()
        raise
    return httpx.Response(
        200,
        headers={"content-type": "text/event-stream; charset=utf-8"},
        stream=_Frames(first, pieces),
        request=request,
    )


async def _frames(
    name: str, outputs: AsyncGenerator[RequestOutput, None], asked: EngineRequest, *, api: Api, created: int
) -> AsyncGenerator[bytes, None]:
    written, cached, begun = 0, None, False
    async with aclosing(outputs):
        async for output in outputs:
            if not begun and api == "chat":
                for frame in first_frames(name, asked, created=created):
                    yield frame
            begun = True
            written += sum(len(one.token_ids) for one in output.outputs)
            cached = output.num_cached_tokens or cached
            for frame in frames(name, output, asked, api=api, created=created):
                yield frame
    for frame in last_frames(name, asked, api=api, created=created, written=written, cached=cached):
        yield frame


class _Frames(httpx.AsyncByteStream):
    """The body of a stream; closing it aborts the request."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._first = first
        self._rest = rest

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        try:
            async for frame in self._rest:
                yield frame
        except EngineDiedError as error:
            raise httpx.RemoteProtocolError(f"the engine died: {error}") from error

    @override
    async def aclose(self) -> None:
        await self._rest.aclose()


def _response(request: httpx.Request, status: int, content: bytes) -> httpx.Response:
    return httpx.Response(
        status, headers={"content-type": "application/json"}, content=content, request=request
    )


def _error(request: httpx.Request, status: int, message: str) -> httpx.Response:
    return _response(request, status, error_body(status, message))
