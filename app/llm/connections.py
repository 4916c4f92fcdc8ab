"""How requests reach a backend: over aiohttp's connections, or through an httpx transport in their place.

aiohttp is spoken to directly. Its connections behind httpx's interface cost twice as much for each request,
and more for each piece of a stream: both make requests and responses of their own.
"""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from typing_extensions import override
from yarl import URL

from app.backend_settings import TimeoutSettings

_KEEP_ALIVE_SECONDS: Final = 4.0
"""For idle connections. Common servers (uvicorn, and with it vLLM) close theirs after 5 s. A request that
goes out just then is lost, and nobody can tell whether it was answered and billed."""
_DNS_SECONDS: Final = 60
_REST_SECONDS: Final = 1.0
_REST_BYTES: Final = 65_536
"""For what follows the end of a stream, usually nothing but HTTP's own end: a connection is cheaper."""


class BackendResponse(Protocol):
    """A response whose head has come.

    Attributes:
        status: HTTP's.
        headers: by case-insensitive names.
    """

    @property
    def status(self) -> int: ...  # noqa: D102 - see above

    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102 - see above

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, once."""
        ...

    def finish(self) -> None:
        """What is left of the body is not needed; nothing is waited for.

        A little that comes soon is read all the same, so that the connection can be used again.
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back, or close it where the body was not read to its end nor finished."""
        ...


class Connections(Protocol):
    """Sends requests to a backend; what it raises is what ``app.llm.errors.transport_errors`` understands."""

    async def post(self, url: URL, headers: Mapping[str, str], content: bytes) -> BackendResponse:
        """POST ``content``; the caller reads the response and closes it."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class NetworkConnections(Connections):
    """Connections of the network; the first one is made by the first request."""

    def __init__(self, timeouts: TimeoutSettings) -> None:
        """Connections that wait as long as ``timeouts`` say."""
        self._timeout = aiohttp.ClientTimeout(
            sock_connect=timeouts.connect_seconds, sock_read=timeouts.read_seconds
        )
        self._session: aiohttp.ClientSession | None = None
        self._finishing: set[asyncio.Task[None]] = set()

    @override
    async def post(self, url: URL, headers: Mapping[str, str], content: bytes) -> BackendResponse:
        if self._session is None:
            self._session = open_session()
        response = await self._session.post(
            url, data=content, headers=headers, allow_redirects=False, timeout=self._timeout
        )
        return _NetworkResponse(response, self._finishing)

    @override
    async def aclose(self) -> None:
        for task in self._finishing:
            task.cancel()
        if self._finishing:
            await asyncio.wait(self._finishing)
        if self._session is not None:
            await self._session.close()


class _NetworkResponse(BackendResponse):
    def __init__(self, response: aiohttp.ClientResponse, finishing: set[asyncio.Task[None]]) -> None:
        self._response = response
        self._finishing = finishing
        self._is_finishing = False

    @property
    @override
    def status(self) -> int:
        return self._response.status

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @override
    def pieces(self) -> AsyncIterator[bytes]:
        return self._response.content.iter_any()

    @override
    def finish(self) -> None:
        if not self._response.content.at_eof():
            self._is_finishing = True
            task = asyncio.create_task(_read_rest(self._response), name="end of a stream")
            self._finishing.add(task)
            task.add_done_callback(self._finishing.discard)

    @override
    async def aclose(self) -> None:
        if not self._is_finishing:
            self._response.release()
            await self._response.wait_for_close()


async def _read_rest(response: aiohttp.ClientResponse) -> None:
    left = _REST_BYTES
    try:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(_REST_SECONDS):
                while left > 0 and (piece := await response.content.readany()):
                    left -= len(piece)
    finally:
        response.release()


class TransportConnections(Connections):
    """Requests through an httpx transport, such as that of the simulated backend.

    Attributes:
        transport: it.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, timeouts: TimeoutSettings) -> None:
        """Through ``transport``, which waits as long as ``timeouts`` say."""
        self.transport = transport
        self._extensions = {
            "timeout": httpx.Timeout(
                connect=timeouts.connect_seconds,
                read=timeouts.read_seconds,
                write=timeouts.read_seconds,
                pool=None,
            ).as_dict()
        }

    @override
    async def post(self, url: URL, headers: Mapping[str, str], content: bytes) -> BackendResponse:
        request = httpx.Request(
            "POST", str(url), headers=headers, content=content, extensions=self._extensions
        )
        return _TransportResponse(await self.transport.handle_async_request(request))

    @override
    async def aclose(self) -> None:
        await self.transport.aclose()


class _TransportResponse(BackendResponse):
    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    @property
    @override
    def status(self) -> int:
        return self._response.status_code

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    @override
    def pieces(self) -> AsyncIterator[bytes]:
        return self._response.aiter_bytes()

    @override
    def finish(self) -> None:
        pass  # there is no connection that could be used again

    @override
    async def aclose(self) -> None:
        await self._response.aclose()


def open_session() -> aiohttp.ClientSession:
    """Connections without cookies, redirects, proxies or anything else from the environment."""
    # The adaptive limiter says how many requests are in flight; a second limit here would hide waiting.
    connector = aiohttp.TCPConnector(
        limit=0, ssl=_tls(), keepalive_timeout=_KEEP_ALIVE_SECONDS, ttl_dns_cache=_DNS_SECONDS
    )
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def open_plain_transport() -> httpx.AsyncBaseTransport:
    """The same behind httpx's interface, for what is not asked often."""
    return AiohttpTransport(verify=_tls(), trust_env=False, client=open_session)


@functools.cache
def _tls() -> ssl.SSLContext:
    """What is needed to trust servers: reading all certificates takes 30 ms and half a megabyte each time."""
    return httpx.create_ssl_context(trust_env=False)
