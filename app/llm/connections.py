"""How requests reach a backend: over the network (``app.llm.network``), or through an httpx transport.

Over the network nothing of httpx is used: aiohttp behind its interface costs twice as much as aiohttp itself
for each request, and more for each piece of a stream, as both make requests and responses of their own.
"""

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

    def arrived(self) -> bytes | None:
        """The body, where all of it is here already; None, with nothing read, where more may come."""
        return None

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


def open_connector() -> aiohttp.TCPConnector:
    """Connections that are kept for a little while after each request."""
    # The adaptive limiter says how many requests are in flight; a second limit here would hide waiting.
    return aiohttp.TCPConnector(
        limit=0, ssl=_tls(), keepalive_timeout=_KEEP_ALIVE_SECONDS, ttl_dns_cache=_DNS_SECONDS
    )


def open_session() -> aiohttp.ClientSession:
    """Connections without cookies, redirects, proxies or anything else from the environment."""
    return aiohttp.ClientSession(connector=open_connector(), cookie_jar=aiohttp.DummyCookieJar())


def open_plain_transport() -> httpx.AsyncBaseTransport:
    """The same behind httpx's interface, for what is not asked often."""
    return AiohttpTransport(verify=_tls(), trust_env=False, client=open_session)


@functools.cache
def _tls() -> ssl.SSLContext:
    """What is needed to trust servers: reading all certificates takes 30 ms and half a megabyte each time."""
    return httpx.create_ssl_context(trust_env=False)
