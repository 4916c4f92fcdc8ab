"""Requests over the network: by aiohttp's connections and its parser, without its session.

A session makes a request, a response, a payload, a task and a dozen smaller things of each call, for what is
not needed here: redirects, cookies, proxies, middlewares, forms. They cost more than all the rest of a call.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter
from typing_extensions import override
from yarl import URL

from app.backend_settings import TimeoutSettings
from app.llm.connections import BackendResponse, Connections, open_connector

_REST_SECONDS: Final = 1.0
_REST_BYTES: Final = 65_536
"""For what follows the end of a stream, usually nothing but HTTP's own end: a connection is cheaper."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_INFORMATIONAL: Final = range(100, 200)
_SWITCHING: Final = 101


@dataclass(frozen=True, kw_only=True, slots=True)
class _Letterhead:
    """What all requests to one address begin with.

    Attributes:
        request: says to aiohttp where the connection goes; it is never sent itself.
        headers: those that it was made of.
        head: the request line and all headers but the length of the body, as bytes.
    """

    request: aiohttp.ClientRequest
    headers: Mapping[str, str]
    head: bytes

    @classmethod
    def of(cls, url: URL, headers: Mapping[str, str]) -> "_Letterhead":
        """The letterhead of POSTs to ``url``.

        Raises:
            aiohttp.InvalidURL: it names no host.
            ValueError: a header holds a control character.
        """
        request = aiohttp.ClientRequest("POST", url, headers=headers, loop=asyncio.get_running_loop())
        told = [(name, value) for name, value in request.headers.items() if name.lower() != "content-length"]
        lines = [f"POST {request.url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in told)]
        if any(map(_CONTROL.search, lines)):
            raise ValueError("a header of a request to a backend holds a control character")
        return cls(request=request, headers=headers, head="\r\n".join(lines).encode())

    def before(self, content: bytes) -> bytes:
        """All that comes before ``content``."""
        return b"%b\r\ncontent-length: %d\r\n\r\n" % (self.head, len(content))


class NetworkConnections(Connections):
    """Connections of the network; the first one is made by the first request."""

    def __init__(self, timeouts: TimeoutSettings) -> None:
        """Connections that wait as long as ``timeouts`` say."""
        self._timeout = aiohttp.ClientTimeout(sock_connect=timeouts.connect_seconds)
        self._read_seconds = timeouts.read_seconds
        self._connector: aiohttp.TCPConnector | None = None
        self._letterheads: dict[URL, _Letterhead] = {}
        self._finishing: set[asyncio.Task[None]] = set()

    @override
    async def post(self, url: URL, headers: Mapping[str, str], content: bytes) -> BackendResponse:
        if self._connector is None:
            self._connector = open_connector()
        letterhead = self._letterheads.get(url)
        if letterhead is None or letterhead.headers is not headers:
            letterhead = self._letterheads[url] = _Letterhead.of(url, headers)
        try:
            connection = await self._connector.connect(letterhead.request, [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {url} in time") from error
        response = _NetworkResponse(connection, self._finishing)
        try:
            await response.ask(letterhead, content, read_seconds=self._read_seconds)
        except BaseException:
            response.abandon()
            raise
        return response

    @override
    async def aclose(self) -> None:
        for task in self._finishing:
            task.cancel()
        if self._finishing:
            await asyncio.wait(self._finishing)
        if self._connector is not None:
            await self._connector.close()


class _NetworkResponse(BackendResponse):
    """One request on a connection, and what is answered."""

    _message: RawResponseMessage
    _content: aiohttp.StreamReader

    def __init__(self, connection: aiohttp.connector.Connection, finishing: set[asyncio.Task[None]]) -> None:
        self._connection = connection
        self._finishing = finishing
        self._is_finishing = False
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, letterhead: _Letterhead, content: bytes, *, read_seconds: float) -> None:
        """Send ``content`` and wait for the head of the answer.

        Raises:
            aiohttp.ClientError: there is none.
        """
        protocol, transport = self._connection.protocol, self._connection.transport
        if protocol is None or transport is None:
            raise aiohttp.ClientConnectionResetError("the connection was closed before it was used")
        protocol.set_response_params(read_until_eof=True, read_timeout=read_seconds)
        transport.writelines((letterhead.before(content), content))
        if protocol.writing_paused:
            self._sending = asyncio.create_task(_wait_when_sent(protocol), name="a long request")
        else:
            protocol.start_timeout()
        try:
            self._message, self._content = await protocol.read()
            while self._message.code in _INFORMATIONAL and self._message.code != _SWITCHING:
                self._message, self._content = await protocol.read()
        except HttpProcessingError as error:
            raise aiohttp.ClientResponseError(
                letterhead.request.request_info, (), status=error.code, message=error.message
            ) from error

    @property
    @override
    def status(self) -> int:
        return self._message.code

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return self._message.headers

    @override
    def pieces(self) -> AsyncIterator[bytes]:
        return self._content.iter_any()

    @override
    def arrived(self) -> bytes | None:
        return self._content.read_nowait() if self._content.is_eof() else None

    @override
    def finish(self) -> None:
        if not self._content.at_eof():
            self._is_finishing = True
            task = asyncio.create_task(self._read_rest(), name="end of a stream")
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    @override
    async def aclose(self) -> None:
        if not self._is_finishing:
            self._release()

    def abandon(self) -> None:
        """Nobody wants the answer any more."""
        if self._sending is not None:
            self._sending.cancel()
        self._connection.close()

    def _release(self) -> None:
        """Give the connection back; one on which anything is still under way is closed."""
        if self._sending is None or self._sending.done():
            self._connection.release()
        else:
            self.abandon()

    async def _read_rest(self) -> None:
        left = _REST_BYTES
        try:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with asyncio.timeout(_REST_SECONDS):
                    while left > 0 and (piece := await self._content.readany()):
                        left -= len(piece)
        finally:
            self._release()


async def _wait_when_sent(protocol: ResponseHandler) -> None:
    """The time for an answer begins when a request that does not go out at once is sent."""
    with contextlib.suppress(aiohttp.ClientError, OSError):  # whoever reads the answer hears of it, too
        await StreamWriter(protocol, asyncio.get_running_loop()).drain()
        protocol.start_timeout()
