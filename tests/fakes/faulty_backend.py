"""A backend on a bare socket that fails in one way: what no HTTP server would do by itself."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

Misbehave: TypeAlias = Callable[["Talk"], Awaitable[None]]
_DRIP_SECONDS = 0.02


class Talk:
    """One request's connection, to say something on, or to break.

    Attributes:
        go: set when a test has seen what was said so far.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, go: asyncio.Event) -> None:
        self.go = go
        self._reader = reader
        self._writer = writer

    async def say(self, *pieces: bytes) -> None:
        """Send ``pieces``."""
        for piece in pieces:
            self._writer.write(piece)
        await self._writer.drain()

    async def answer(
        self, status: str, body: bytes, *, headers: str = "", promised: int | None = None
    ) -> None:
        """A whole response; it announces ``promised`` bytes, by default as many as it has."""
        length = len(body) if promised is None else promised
        fields = f"content-type: application/json\r\ncontent-length: {length}\r\n{headers}"
        await self.say(f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body)

    async def begin_stream(self, *frames: bytes) -> None:
        """The head of a stream, and chunks."""
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        await self.say(head, *(chunk(frame) for frame in frames))

    async def end_stream(self) -> None:
        """The end that HTTP knows."""
        await self.say(b"0\r\n\r\n")

    async def drip(self, content: bytes, *, chunked: bool = False) -> None:
        """Send ``content`` a byte at a time, so slowly that nobody has the patience."""
        for place in range(len(content)):
            byte = content[place : place + 1]
            await self.say(chunk(byte) if chunked else byte)
            await asyncio.sleep(_DRIP_SECONDS)

    async def hang(self) -> None:
        """Say nothing until the other side goes."""
        while await self._reader.read(4096):
            pass

    def reset(self) -> None:
        """Cut the connection with RST."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection as if all was said."""
        self._writer.close()


def chunk(content: bytes) -> bytes:
    """``content`` in HTTP's chunked coding."""
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


class FaultyBackend:
    """The backend.

    Attributes:
        url: its base URL.
        requests: how many have come.
        busy: those whose connection is still being answered.
        go: the test's word to whoever waits for it.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.busy = 0
        self.go = asyncio.Event()
        self.fault: Misbehave | None = None
        self._idle = asyncio.Event()

    async def until_idle(self) -> None:
        """Wait until every request was answered, or its connection was closed."""
        while self.busy:
            self._idle.clear()
            await self._idle.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Fail each request on a connection."""
        try:
            while await self._hears_request(reader):
                self.requests += 1
                self.busy += 1
                try:
                    assert self.fault is not None
                    await self.fault(Talk(reader, writer, self.go))
                finally:
                    self.busy -= 1
                    self._idle.set()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side has gone
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _hears_request(self, reader: asyncio.StreamReader) -> bool:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        except (OSError, asyncio.IncompleteReadError):
            return False
        (length,) = (line.split(":")[1] for line in head.split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length))
        return True


@asynccontextmanager
async def serve_faulty() -> AsyncIterator[FaultyBackend]:
    """Run it on a free port of loopback."""
    backend = FaultyBackend()
    server = await asyncio.start_server(backend.serve, "127.0.0.1", 0)
    backend.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield backend
    finally:
        server.close()
        await server.wait_closed()
