"""What happens to every request around its endpoint: an id, a bound on its body, an answer to bugs."""

import logging
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import INVALID_REQUEST, ErrorAnswer, bug_answer
from app.random_bytes import RANDOM
from app.request_headers import headers_of
from app.request_reports import RequestReports
from app.telemetry.current import ActiveRequest, answering
from app.telemetry.propagation import TRACEPARENT, passing_on, trace_id_of
from app.telemetry.timing import Part, own_seconds, server_timing

_LOGGER = logging.getLogger(__name__)

REQUEST_ID_HEADER = "x-request-id"
OVERHEAD_HEADER = "x-drpo-overhead-ms"
_EXCHANGE: Final = "exchange"
_CLIENT_ID_LIMIT: Final = 128
_ID: Final = REQUEST_ID_HEADER.encode()
_OVERHEAD: Final = OVERHEAD_HEADER.encode()


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
        headers = headers_of(scope)
        request = ActiveRequest(_request_id(headers))
        parent = headers.get(TRACEPARENT, "")
        request.trace_id = trace_id_of(parent) if parent else None
        exchange = Exchange(request, receive, send, self._max_body_bytes)
        state = scope.setdefault("state", {})
        state["request_id"] = request.id
        state[_EXCHANGE] = exchange
        passed_on = {} if request.trace_id is None else {TRACEPARENT: parent}
        with answering(request), passing_on(passed_on):
            try:
                if exchange.announces_too_much(headers):
                    await exchange.refuse(scope)
                else:
                    await self._answer(exchange, scope, receive)
            finally:
                # the exchange holds the server's side of the request, which holds the scope: what is no cycle
                # is freed at once, and nobody has to look for it
                del state[_EXCHANGE]
                self._reports.tell(request, scope, exchange.status, exchange.parts)

    async def _answer(self, exchange: "Exchange", scope: Scope, receive: Receive) -> None:
        request_id = exchange.request.id
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


class Exchange:
    """One request and its response on their way through the middleware.

    Attributes:
        request: it.
        added: headers that whatever answers it is sent with.
        status: of the answer, once its head is on its way.
        parts: where the time until then went; None where no model was asked for.
        too_large: whether more bytes came than may.
    """

    def __init__(self, request: ActiveRequest, receive: Receive, send: Send, limit: int) -> None:
        self.request = request
        self.added: dict[str, str] = {}
        self.status: int | None = None
        self.parts: dict[Part, float] | None = None
        self.too_large = False
        self._receive = receive
        self._send = send
        self._limit = limit
        self._received = 0

    @property
    def started(self) -> bool:
        """Whether the head of the answer was sent."""
        return self.status is not None

    def announces_too_much(self, headers: Mapping[str, str]) -> bool:
        """Whether the body will be too large, by what is said of it."""
        length = headers.get("content-length", "")
        return length.isascii() and length.isdigit() and int(length) > self._limit

    async def receive(self) -> Message:
        """The next message of the client, in ASGI's terms.

        Raises:
            Exception: with it, the body is too large.
        """
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._limit:
                self.too_large = True
                raise _BodyTooLargeError
        return message

    async def send(self, message: Message) -> None:
        """Pass a message of the answer on to the server."""
        if not self.started:
            if self.too_large:
                return  # frameworks answer a body that cannot be read with a 400; ours comes instead
            if message["type"] == "http.response.start":
                self._begin(message)
        await self._send(message)

    def _begin(self, message: Message) -> None:
        """Note that the answer begins, and say so in its headers."""
        self.status = message["status"]
        headers = [pair for pair in message.get("headers", ()) if pair[0] != _ID]
        headers.append((_ID, self.request.id.encode()))
        timings = self.request.timings
        if self.request.is_served:
            self.parts = timings.parts()
            headers.append((_OVERHEAD, b"%.2f" % (own_seconds(self.parts) * 1000)))
            headers.append((b"server-timing", server_timing(self.parts).encode()))
        headers.append((b"openai-processing-ms", b"%d" % round(timings.elapsed() * 1000)))
        message["headers"] = headers
        if self.added:
            MutableHeaders(scope=message).update(self.added)

    async def refuse(self, scope: Scope) -> None:
        """Say that the body is too large."""
        answer = ErrorAnswer(
            status=413,
            message=f"the body is larger than {self._limit} bytes; send less, or raise server.max_body_bytes",
            type=INVALID_REQUEST,
            code="body_too_large",
        )
        await answer.response()(scope, self._receive, self._send_refusal)

    async def _send_refusal(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
        await self._send(message)


def exchange_of(scope: Scope) -> Exchange:
    """The exchange that a request inside of the middleware is part of."""
    exchange: Exchange = scope["state"][_EXCHANGE]
    return exchange


def _request_id(headers: Mapping[str, str]) -> str:
    given = headers.get(REQUEST_ID_HEADER, "")
    if given and len(given) <= _CLIENT_ID_LIMIT and given.isascii() and given.isprintable():
        return given
    return f"req_{RANDOM.take(12).hex()}"
