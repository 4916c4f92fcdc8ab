"""Calls of models that each get a span: those of served requests, and those of jobs."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, aclosing, asynccontextmanager

import orjson
from typing_extensions import override

from app.llm.capabilities import Capabilities
from app.llm.errors import Origin
from app.llm.http import RawResponse
from app.llm.opened_backend import CallTracing
from app.llm.passthrough import Frames, ModelUpstream
from app.llm.sse import payload
from app.llm.wire import PATHS, Api, Path, request_body
from app.llm.wrapper import ModelWrapper
from app.settings import BackendSettings
from app.telemetry import semconv
from app.telemetry.call_spans import CallSpan, CallSpans
from app.telemetry.job_spans import JobSpans, traced_job
from app.telemetry.job_watch import CURRENT
from app.telemetry.propagation import passing_on
from app.telemetry.tracing import Tracing, current_parent, headers_of
from optimizer.errors import ModelError
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult, JsonObject, JsonValue, ModelRole

_TELLING = (b'"usage"', b'"finish_reason"')


class TracedUpstream(ModelUpstream):
    """One model's raw interface, each call of which gets a span."""

    def __init__(self, upstream: ModelUpstream, spans: CallSpans, *, settings: BackendSettings) -> None:
        """Around ``upstream``, at the backend with ``settings``."""
        self._upstream = upstream
        self._spans = spans
        self.origin = upstream.origin
        self._model = upstream.origin.model
        self._about = about(upstream.origin, settings)

    @override
    async def send(self, body: bytes, path: Path) -> RawResponse:
        with self._spans.call(path, self._model, self._about, parent=current_parent()) as call:
            if call.is_recording:
                call.asked(_object(body))
            with passing_on(headers_of(call.span)):
                response = await self._upstream.send(body, path)
            if call.is_recording:
                call.answered(_object(response.body))
        return response

    @override
    @asynccontextmanager
    async def stream(self, body: bytes, path: Path) -> AsyncIterator[Frames]:
        with self._spans.call(path, self._model, self._about, parent=current_parent()) as call:
            if call.is_recording:
                call.asked(_object(body))
            async with AsyncExitStack() as stack:
                with passing_on(headers_of(call.span)):
                    frames = await stack.enter_async_context(self._upstream.stream(body, path))
                call.first_chunk()
                if call.is_recording:
                    frames = await stack.enter_async_context(aclosing(_watched(frames, call)))
                yield frames


async def _watched(stream: Frames, call: CallSpan) -> AsyncGenerator[list[bytes], None]:
    is_first = True
    try:
        async for frames in stream:
            for frame in frames:
                if is_first or call.records_content or any(key in frame for key in _TELLING):
                    call.answered(_object(payload(frame)))
                    is_first = False
            yield frames
    except ModelError as error:
        call.failed(error)  # whoever reads the stream may make a last frame of it, so that nobody else hears
        raise


class TracedModel(ModelWrapper):
    """A model of a job: its calls get spans in the trace of the job that they are made for."""

    def __init__(
        self,
        model: ChatModel,
        spans: CallSpans,
        *,
        role: ModelRole,
        origin: Origin,
        settings: BackendSettings,
        path: Path,
    ) -> None:
        """Around ``model``, which fills ``role``; its requests go to ``path``."""
        super().__init__(model)
        self._spans = spans
        self._path: Path = path
        self._model_name = origin.model
        self._about = {**about(origin, settings), "drpo.role": role.value}

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        job = CURRENT.get()
        if not isinstance(job, JobSpans) or not job.takes_call():
            return await self._model.complete(request)
        with self._spans.call(self._path, self._model_name, self._about, parent=job.parent) as call:
            if call.is_recording and self._path != "embeddings":
                api: Api = "chat" if self._path == PATHS["chat"] else "completions"
                call.asked(request_body(request, api=api, model=self._model_name, can=Capabilities()))
            with passing_on(headers_of(call.span)):
                result = await self._model.complete(request)
            if call.is_recording:
                call.answered(_as_body(result, is_text=self._path != "embeddings"))
        return result


class Traces(CallTracing):
    """Traces by OpenTelemetry."""

    def __init__(self, tracing: Tracing) -> None:
        """Spans go to ``tracing``."""
        self._tracing = tracing
        self._spans = CallSpans(tracing)

    @override
    def upstream(self, upstream: ModelUpstream, *, settings: BackendSettings) -> ModelUpstream:
        return TracedUpstream(upstream, self._spans, settings=settings)

    @override
    def model(
        self, model: ChatModel, *, role: ModelRole, origin: Origin, settings: BackendSettings, path: Path
    ) -> ChatModel:
        return TracedModel(model, self._spans, role=role, origin=origin, settings=settings, path=path)

    @override
    def job(self, job: str, *, kind: str, target: str) -> AbstractContextManager[None]:
        return traced_job(self._tracing, job, kind=kind, target=target)


def about(origin: Origin, settings: BackendSettings) -> Mapping[str, str | int]:
    """What spans say about who is asked."""
    told: dict[str, str | int] = {"drpo.backend": origin.backend}
    url = settings.base_url
    if url is not None and url.host is not None:
        told[semconv.SERVER_ADDRESS] = url.host
        if url.port is not None:
            told[semconv.SERVER_PORT] = url.port
    return told


def _as_body(result: CompletionResult, *, is_text: bool) -> JsonObject:
    body: JsonObject = {"model": result.model}
    if result.usage is not None:
        body["usage"] = {
            "prompt_tokens": result.usage.prompt_tokens,
            "completion_tokens": result.usage.completion_tokens,
        }
    if is_text:
        body["choices"] = [
            {"index": index, "finish_reason": answer.finish_reason, "text": answer.text}
            for index, answer in enumerate(result.completions)
        ]
    return body


def _object(content: bytes) -> JsonObject:
    """The JSON object in ``content``; an empty one where there is none."""
    try:
        value: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
