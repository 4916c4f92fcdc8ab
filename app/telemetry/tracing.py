"""Tracing by OpenTelemetry: opened only where spans are wanted, and only then loaded."""

import asyncio
import contextlib
import secrets
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.telemetry import semconv
from app.version import VERSION

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_LAST_SECONDS: Final = 5.0
"""For the spans that are left when the process ends."""
CANCELLED: Final = "cancelled"


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Sends spans to ``endpoint`` by OTLP over HTTP; headers and time-outs by ``OTEL_EXPORTER_OTLP_…``."""
    return OTLPSpanExporter(endpoint=endpoint)


@dataclass(frozen=True, kw_only=True, slots=True)
class TracingOptions:
    """What is traced.

    Attributes:
        share: of the requests and jobs; one that its caller traces is traced.
        calls: of a job that all get a span.
        records_content: whether spans hold what was asked and answered.
    """

    share: float = 1.0
    calls: int = 1000
    records_content: bool = False


class Tracing:
    """The spans of a process. Close it with ``aclose``."""

    def __init__(self, exporter: SpanExporter, options: TracingOptions) -> None:
        """Spans go to ``exporter``, from a thread of their own."""
        resource = Resource.create(
            {
                semconv.SERVICE_NAME: "drpo",
                semconv.SERVICE_VERSION: VERSION,
                semconv.SERVICE_INSTANCE: secrets.token_hex(8),
            },
            schema_url=semconv.SCHEMA_URL,
        )
        self.options = options
        self._provider = TracerProvider(
            resource=resource,
            sampler=ParentBased(TraceIdRatioBased(options.share)),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("drpo", VERSION, schema_url=semconv.SCHEMA_URL)

    def start(
        self,
        name: str,
        *,
        parent: Context | None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int | float | bool] | None = None,
    ) -> Span:
        """A span that its caller ends; one without a ``parent`` is the first of a trace."""
        context = Context() if parent is None else parent
        return self._tracer.start_span(name, context=context, kind=kind, attributes=dict(attributes or {}))

    async def aclose(self) -> None:
        """Send what is left, for a few seconds at most; the exporter waits in its thread."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await asyncio.to_thread(self._provider.shutdown)

    def flush(self) -> None:
        """Send what has ended by now; waits for it."""
        self._provider.force_flush()


def parent_in(headers: Mapping[str, str]) -> Context:
    """The span that a request's headers name as its parent; an empty context where they name none."""
    return _PROPAGATOR.extract(headers, context=Context())


def headers_of(span: Span) -> dict[str, str]:
    """The headers that name ``span`` as the parent of whatever they are sent with."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers, context=set_span_in_context(span, Context()))
    return headers


def trace_id(span: Span) -> str:
    """The id of the trace of ``span``, in hexadecimal."""
    return f"{span.get_span_context().trace_id:032x}"


def fail(span: Span, error_type: str) -> None:
    """``span`` has ended in an error of this kind; what it says may be content and is left out."""
    span.set_attribute(semconv.ERROR_TYPE, error_type)
    span.set_status(Status(StatusCode.ERROR))


_PARENT: Final[ContextVar[Context | None]] = ContextVar("parent", default=None)


def current_parent() -> Context | None:
    """What spans that begin now belong to; None for a trace of their own."""
    return _PARENT.get()


@contextlib.contextmanager
def inside(span: Span) -> Iterator[None]:
    """Spans that begin inside, in tasks that begin there as well, belong to ``span``."""
    token = _PARENT.set(set_span_in_context(span, Context()))
    try:
        yield
    finally:
        _PARENT.reset(token)
