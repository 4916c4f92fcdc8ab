"""A load generator that costs little beside what it measures: requests are bytes, answers only searched."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import orjson
from typing_extensions import override

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_SENT = re.compile(rb"@(\d+)@")
_HEAD_END = b"\r\n\r\n"
_DATA, _DONE, _LAST = b"data: ", b"[DONE]", b"0\r\n\r\n"
_TAIL = 64
"""Bytes kept of what was received: an end may come in pieces."""


@dataclass(kw_only=True, slots=True)
class Figures:
    """What was measured; all times in seconds.

    Attributes:
        seconds: of the whole load.
        latencies: of each request, to the end of its answer.
        first_tokens: of each stream, to its first frame.
        delays: of each chunk that says when it was sent, from there to here.
        chunks: frames received; one that was cut in two by its sender may be missing.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    chunks: int = 0


def request_bytes(url: str, key: str, model: str, *, stream: bool, headers: Sequence[str] = ()) -> bytes:
    """A chat request of about a kilobyte; ``headers`` are further ones, such as ``x-name: value``."""
    body = orjson.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": "How does a lock keep water from a canal? " * 22}],
            "max_tokens": 100,
            "stream": stream,
        }
    )
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
    )
    return "".join([head, *(f"{header}\r\n" for header in headers), "\r\n"]).encode() + body


class _Client(asyncio.Protocol):
    """One connection; ``ask`` is over when the whole answer is here, or ``chunks`` frames of it."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._buffer = b""
        self._done: asyncio.Future[None] | None = None
        self._began = 0.0
        self._streams = False
        self._frames = 0
        self._leave_after: int | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("closed while an answer was due"))

    async def ask(self, request: bytes, *, leave_after: int | None = None) -> None:
        """Send ``request`` and wait for its answer, or for ``leave_after`` of its frames."""
        self._done = asyncio.get_running_loop().create_future()
        self._buffer, self._frames, self._streams = b"", 0, False
        self._leave_after = leave_after
        self._began = time.perf_counter()
        self.transport.write(request)
        await self._done

    @override
    def data_received(self, data: bytes) -> None:
        if self._streams:
            self._read_frames(data)
            return
        self._buffer += data
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return
        if not self._buffer.startswith(b"HTTP/1.1 200"):
            self._fail(self._buffer)
            return
        length = _LENGTH.search(self._buffer, 0, end)
        if length is None:
            self._streams, rest, self._buffer = True, self._buffer[end + len(_HEAD_END) :], b""
            self._read_frames(rest)
        elif len(self._buffer) >= end + len(_HEAD_END) + int(length[1]):
            self._finish()

    def _read_frames(self, data: bytes) -> None:
        now = time.monotonic_ns()
        found = (self._buffer[1 - len(_DATA) :] + data).count(_DATA)
        if found and not self._frames:
            self._figures.first_tokens.append(time.perf_counter() - self._began)
        self._frames += found
        self._figures.chunks += found
        self._figures.delays += [(now - int(sent)) / 1e9 for sent in _SENT.findall(data)]
        self._buffer = (self._buffer + data)[-_TAIL:]
        left = self._leave_after is not None and self._frames >= self._leave_after
        if left or (self._buffer.endswith(_LAST) and _DONE in self._buffer):
            self._finish()

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._figures.latencies.append(time.perf_counter() - self._began)
            self._done.set_result(None)

    def _fail(self, answer: bytes) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(RuntimeError(answer.decode(errors="replace")[:600]))


async def load(
    url: str, request: bytes, *, connections: int, requests: int, apart_seconds: float = 0.0
) -> Figures:
    """``requests`` requests over ``connections`` connections, each of which asks again when it is answered.

    They begin ``apart_seconds`` after each other.

    Raises:
        RuntimeError: an answer was no 200.
        ConnectionError: a connection was closed.
    """
    figures = Figures()
    clients = [await _connect(url, figures) for _ in range(connections)]
    left = iter(range(requests))

    async def work(place: int, client: _Client) -> None:
        await asyncio.sleep(place * apart_seconds)
        for _ in left:
            await client.ask(request)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for place, client in enumerate(clients):
            group.create_task(work(place, client))
    figures.seconds = time.perf_counter() - began
    for client in clients:
        client.transport.close()
    return figures


async def leave_streams(url: str, request: bytes, *, at_once: int, streams: int) -> None:
    """Begin ``streams`` streams and leave each after its second frame.

    Raises:
        RuntimeError: an answer was no 200.
    """
    left = iter(range(streams))

    async def work() -> None:
        for _ in left:
            client = await _connect(url, Figures())
            await client.ask(request, leave_after=2)
            client.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())


async def _connect(url: str, figures: Figures) -> _Client:
    place = urlsplit(url)
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: _Client(figures), place.hostname or "127.0.0.1", place.port or 80
    )
    return client
