"""What happens to every request around its endpoint: an id, a bound on its body, an answer to bugs."""

import logging
import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import INVALID_REQUEST, ErrorAnswer, bug_answer
from app.request_reports import RequestReports
from app.telemetry.current import ActiveRequest, answering
from app.telemetry.propagation import TRACEPARENT, passing_on, trace_id_of
from app.telemetry.timing import Part, own_seconds, server_timing

_LOGGER = logging.getLogger(__name__)

REQUEST_ID_HEADER = "x-request-id"
OVERHEAD_HEADER = "x-drpo-overhead-ms"
ANSWER_HEADERS = "answer_headers"
"""In a request's state: headers that whatever answers it is sent with."""
_CLIENT_ID_LIMIT = 128


class RequestContextMiddleware:
    """Names each request, times it, bounds its body, and turns a bug into a 500 with that name.

    The id is the client's ``X-Request-ID`` where that is short and printable, else one of our own. An answer
    of a model also says how much of its time was our own, and where that went (``Server-Timing``).
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int, reports: RequestReports) -> None:
        """Wrap ``app``; a body of more than ``max_body_bytes`` is a 413, and ``reports`` hear of each end."""
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._reports = reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request = ActiveRequest(_request_id(headers))
        parent = headers.get(TRACEPARENT, "")
        request.trace_id = trace_id_of(parent)
        state = scope.setdefault("state", {})
        state["request_id"] = request.id
        added: dict[str, str] = {}
        state[ANSWER_HEADERS] = added
        exchange = _Exchange(request, receive, send, self._max_body_bytes, added)
        passed_on = {} if request.trace_id is None else {TRACEPARENT: parent}
        with answering(request), passing_on(passed_on):
            try:
                await self._answer(exchange, request.id, scope, receive)
            finally:
                self._reports.tell(request, scope, exchange.status, exchange.parts)

    async def _answer(self, exchange: "_Exchange", request_id: str, scope: Scope, receive: Receive) -> None:
        if exchange.announces_too_much(Headers(scope=scope)):
            await exchange.refuse(scope)
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except _BodyTooLargeError:
            pass
        except Exception:
            # the path is quoted: it may hold line breaks, and a log line must not be forged with them
            _LOGGER.exception("request %s failed: %s %r", request_id, scope["method"], scope["path"])
            if exchange.started:
                raise  # the status is sent: only breaking the connection tells the client
            await bug_answer(request_id).response()(scope, receive, exchange.send)
        if exchange.too_large and not exchange.started:
            await exchange.refuse(scope)


class _BodyTooLargeError(Exception):
    """More bytes came than the limit allows."""


class _Exchange:
    """One request and its response on their way through the middleware."""

    def __init__(
        self, request: ActiveRequest, receive: Receive, send: Send, limit: int, added: Mapping[str, str]
    ) -> None:
        self._request = request
        self._receive = receive
        self._send = send
        self._limit = limit
        self._added = added
        self._received = 0
        self.status: int | None = None
        self.parts: dict[Part, float] | None = None
        self.too_large = False

    @property
    def started(self) -> bool:
        return self.status is not None

    def announces_too_much(self, headers: Headers) -> bool:
        length = headers.get("content-length", "")
        return length.isdecimal() and int(length) > self._limit

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._limit:
                self.too_large = True
                raise _BodyTooLargeError
        return message

    async def send(self, message: Message) -> None:
        if self.too_large and not self.started:
            return  # frameworks answer a body that cannot be read with a 400; ours comes instead
        await self._send_named(message)

    async def _send_named(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID_HEADER] = self._request.id
            for name, value in self._added.items():
                headers[name] = value
            self._tell_time(headers)
        await self._send(message)

    def _tell_time(self, headers: MutableHeaders) -> None:
        timings = self._request.timings
        if self._request.is_served:
            self.parts = timings.parts()
            headers[OVERHEAD_HEADER] = f"{own_seconds(self.parts) * 1000:.2f}"
            headers["server-timing"] = server_timing(self.parts)
        headers["openai-processing-ms"] = str(round(timings.elapsed() * 1000))

    async def refuse(self, scope: Scope) -> None:
        answer = ErrorAnswer(
            status=413,
            message=f"the body is larger than {self._limit} bytes; send less, or raise server.max_body_bytes",
            type=INVALID_REQUEST,
            code="body_too_large",
        )
        await answer.response()(scope, self._receive, self._send_named)


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID_HEADER, "")
    if given and len(given) <= _CLIENT_ID_LIMIT and given.isascii() and given.isprintable():
        return given
    return f"req_{secrets.token_hex(12)}"
