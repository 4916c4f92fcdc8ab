"""A span for each request of the API, in its caller's trace where it has one."""

from typing import Final

from opentelemetry.trace import Span, SpanKind
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry import semconv
from app.telemetry.current import ActiveRequest, current_request
from app.telemetry.tracing import CANCELLED, Tracing, fail, inside, parent_in, trace_id

_API: Final = "/v1/"
_SERVER_ERROR: Final = 500
_FACTS: Final = {
    "model": semconv.REQUEST_MODEL,
    "input_tokens": semconv.USAGE_INPUT_TOKENS,
    "output_tokens": semconv.USAGE_OUTPUT_TOKENS,
    "backend": "drpo.backend",
    "version": "drpo.prompt.version",
    "ending": "drpo.ending",
    "attempts": "drpo.attempts",
    "cost": "drpo.cost",
}
"""What is known of a request for a model at its end, as attributes."""


class TracingMiddleware:
    """Traces what is asked of the API; stands inside of what names requests, and outside of all else."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        """Around ``app``; spans go to ``tracing``."""
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        request = current_request()
        if scope["type"] != "http" or request is None or not scope["path"].startswith(_API):
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        span = self._tracing.start(
            method,
            parent=parent_in(Headers(scope=scope)),
            kind=SpanKind.SERVER,
            attributes={
                semconv.HTTP_METHOD: method,
                semconv.URL_SCHEME: scope.get("scheme", "http"),
                "drpo.request.id": request.id,
            },
        )
        request.trace_id = trace_id(span)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                _note_status(span, message["status"])
            await send(message)

        try:
            with inside(span):
                await self._app(scope, receive, sending)
        except Exception as error:
            fail(span, type(error).__name__)
            raise
        except BaseException:
            fail(span, CANCELLED)
            raise
        finally:
            _note_end(span, scope, request)
            span.end()


def _note_status(span: Span, status: int) -> None:
    span.set_attribute(semconv.HTTP_STATUS, status)
    if status >= _SERVER_ERROR:
        fail(span, str(status))


def _note_end(span: Span, scope: Scope, request: ActiveRequest) -> None:
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute(semconv.HTTP_ROUTE, route)
    for name, attribute in _FACTS.items():
        value = request.facts.get(name)
        if value is not None:
            span.set_attribute(attribute, value)
    if request.facts.get("ending", "answered") != "answered":
        fail(span, str(request.facts.get("error_code") or request.facts["ending"]))
    if request.is_served:
        for part, seconds in request.timings.parts().items():
            span.set_attribute(f"drpo.seconds.{part}", seconds)
