"""A real HTTP server on loopback that speaks the OpenAI protocol, or misbehaves as a test's script says."""

import asyncio
import hashlib
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.types import Receive, Scope, Send

from optimizer.types import JsonObject, JsonValue


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: JsonObject


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole response. ``gate`` holds it back until it is set."""

    status: int = 200
    body: "JsonValue | bytes" = None
    headers: Mapping[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A streamed response: chunks as given.

    ``gate`` holds back all after the first; ``drop`` ends it abruptly.
    """

    chunks: Sequence[bytes]
    content_type: str = "text/event-stream"
    gate: asyncio.Event | None = None
    drop: bool = False


@dataclass(frozen=True, kw_only=True)
class Drop:
    """The connection is cut without an answer."""


Reply = Answer | Stream | Drop
Script = Callable[[Exchange], Reply]


LOGPROBS: JsonObject = {"content": [{"token": "an", "logprob": -0.1}]}


def logprobs_of(body: JsonObject) -> JsonObject | None:
    """Log-probabilities of one token with as many alternatives as ``body`` asks for."""
    if not body.get("logprobs"):
        return None
    wanted = body.get("top_logprobs") if "messages" in body else body.get("logprobs")
    count = wanted if isinstance(wanted, int) and not isinstance(wanted, bool) else 0
    if "messages" not in body:
        return {
            "tokens": ["an"],
            "token_logprobs": [-0.1],
            "top_logprobs": [{str(n): -1 for n in range(count)}],
        }
    if not count:
        return LOGPROBS
    others: list[JsonValue] = [{"token": str(number), "logprob": -1} for number in range(count)]
    return {"content": [{"token": "an", "logprob": -0.1, "top_logprobs": others}]}


def error(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Answer:
    """An error in OpenAI's envelope; underscores in header names become hyphens."""
    body: JsonValue = {"error": {"message": message, "type": "an_error", "param": None, "code": code}}
    return Answer(
        status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def well_behaved(exchange: Exchange) -> Reply:
    """What a good backend answers: repeatable for a seed, n, stop, JSON where asked for, usage, streaming."""
    body = exchange.body
    texts = [_text(body, draw) for draw in range(int(str(body.get("n", 1))))]
    usage: JsonValue = {
        "prompt_tokens": 7,
        "completion_tokens": 5 * len(texts),
        "total_tokens": 7 + 5 * len(texts),
    }
    about: JsonObject = {"id": "c-1", "created": 1, "model": body.get("model")}
    chat = exchange.path.endswith("chat/completions")
    if body.get("stream"):
        deltas: list[JsonValue] = [{"content": word} for word in texts[0].split(" ")]
        events: list[JsonObject] = [
            {**about, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
        ]
        events.append({**about, "choices": [], "usage": usage})
        return Stream(chunks=[*(sse(event) for event in events), b"data: [DONE]\n\n"])
    choices: list[JsonValue] = [
        {
            "index": draw,
            **({"message": {"role": "assistant", "content": text}} if chat else {"text": text}),
            "finish_reason": "stop",
            "logprobs": logprobs_of(body),
        }
        for draw, text in enumerate(texts)
    ]
    return Answer(body={**about, "choices": choices, "usage": usage})


def sse(event: JsonValue) -> bytes:
    """``event`` as a frame."""
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def sample_of(schema: JsonValue) -> JsonValue:
    """Some value that ``schema`` allows."""
    assert isinstance(schema, dict)
    match schema.get("type"):
        case "object":
            properties = schema.get("properties")
            assert isinstance(properties, dict)
            return {name: sample_of(value) for name, value in properties.items()}
        case "array":
            return [sample_of(schema.get("items"))]
        case "string":
            return "red"
        case _:
            return 3


class FakeOpenAIServer:
    """The server.

    Attributes:
        url: its base URL, up to and including ``/v1``.
        requests: what arrived, in order.
        clients: the other ends of the connections that they came over.
        left: requests whose client went away before the answer was complete.
        in_flight / most_in_flight: requests being answered now, and the most there ever were at once.
        script: what to answer when nothing was pushed.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Exchange] = []
        self.clients: set[tuple[str, int]] = set()
        self.left = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.script: Script = well_behaved
        self._pushed: deque[Reply] = deque()
        self._changed = asyncio.Event()

    def push(self, *replies: Reply) -> None:
        """Answer the next requests with these, in order."""
        self._pushed.extend(replies)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds; looked at whenever something happens here."""
        while not condition():
            await self._changed.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        content = b""
        more = True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        exchange = Exchange(path=scope["path"], headers=headers, body=json.loads(content or b"{}"))
        self.requests.append(exchange)
        self.clients.add(tuple(scope["client"]))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._announce()
        try:
            reply = self._pushed.popleft() if self._pushed else self.script(exchange)
            await self._reply(reply, receive, send)
        finally:
            self.in_flight -= 1
            self._announce()

    async def _reply(self, reply: Reply, receive: Receive, send: Send) -> None:
        match reply:
            case Drop():
                _cut(receive)
            case Answer():
                if await self._client_leaves(reply.gate, receive):
                    return
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                await send(_start(reply.status, {"content-type": "application/json", **reply.headers}))
                await send({"type": "http.response.body", "body": body})
            case Stream():
                await send(_start(200, {"content-type": reply.content_type}))
                for place, chunk in enumerate(reply.chunks):
                    if place and await self._client_leaves(reply.gate, receive):
                        return
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if reply.drop:
                    _cut(receive)
                    return
                await send({"type": "http.response.body", "body": b""})

    async def _client_leaves(self, gate: asyncio.Event | None, receive: Receive) -> bool:
        """Wait for the gate; True when the client goes first."""
        if gate is None:
            return False
        opened = asyncio.ensure_future(gate.wait())
        gone = asyncio.ensure_future(receive())
        await asyncio.wait({opened, gone}, return_when=asyncio.FIRST_COMPLETED)
        left = not opened.done()
        for task in (opened, gone):
            task.cancel()
        await asyncio.wait({opened, gone})
        self.left += left
        return left

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@asynccontextmanager
async def serve() -> AsyncIterator[FakeOpenAIServer]:
    """Run a fake server in this event loop, on a free port of loopback."""
    fake = FakeOpenAIServer()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        fake, lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=5
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    fake.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    try:
        yield fake
    finally:
        await server.shutdown(sockets=[listener])


def _start(status: int, headers: Mapping[str, str]) -> dict[str, object]:
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }


def _cut(receive: Receive) -> None:
    """ASGI has no way to drop a connection: reach for the server's own."""
    receive.__self__.transport.abort()  # type: ignore[attr-defined]


def _text(body: JsonObject, draw: int) -> str:
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        described = wanted["json_schema"]
        assert isinstance(described, dict)
        return json.dumps(sample_of(described["schema"]))
    if isinstance(wanted, dict) and wanted.get("type") == "json_object":
        return '{"colour": "red"}'
    about = json.dumps([body.get("messages"), body.get("prompt"), body.get("seed"), draw])
    digest = hashlib.sha256(about.encode()).hexdigest()
    text = " ".join(["an", "answer", *(digest[place : place + 4] for place in range(0, 24, 4))])
    stops = body.get("stop")
    for stop in stops if isinstance(stops, list) else []:
        text = text.split(str(stop))[0]
    return text
