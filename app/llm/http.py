"""One HTTP client per backend: httpx's interface on aiohttp's connections.

httpx's own pool slows down as connections grow and cannot keep hundreds of calls in flight.
"""

import asyncio
import functools
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport
from pydantic import SecretStr

from app.backend_settings import SimulatedSettings
from app.llm.errors import Origin, error_for_status, transport_errors
from app.llm.simulated.transport import SimulatedTransport
from app.settings import BackendSettings
from app.telemetry.propagation import outgoing_headers
from app.version import VERSION
from optimizer.errors import MalformedResponseError, RequestRefusedError
from optimizer.types import JsonObject

SIMULATED_URL = "http://simulated.invalid/v1"

_KEEP_ALIVE_SECONDS = 4.0
"""For idle connections. Common servers (uvicorn, and with it vLLM) close theirs after 5 s. A request that
goes out just then is lost, and nobody can tell whether it was answered and billed."""
_DNS_SECONDS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class RawResponse:
    """A 2xx response: status, headers and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class BackendClient:
    """POSTs to one backend, in httpx's terms.

    Without ``httpx.AsyncClient``: what that does for each request (cookies, redirects, joining URLs) is not
    wanted here, and takes a fifth of the time that a call costs. Use as an async context manager, or close it
    with ``aclose``; nothing is connected before the first request.
    """

    def __init__(self, settings: BackendSettings, *, key: SecretStr | None) -> None:
        """The client of the backend that ``settings`` describe; ``key`` is its API key."""
        timeouts = settings.timeouts
        self._transport = open_transport(settings)
        self._base_url = httpx.URL(SIMULATED_URL if settings.base_url is None else str(settings.base_url))
        self._urls: dict[str, httpx.URL] = {}
        self._headers = {
            "accept": "application/json, text/event-stream",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": f"drpo/{VERSION}",
        }
        if key is not None:
            self._headers["authorization"] = f"Bearer {key.get_secret_value()}"
        self._extensions = {
            "timeout": httpx.Timeout(
                connect=timeouts.connect_seconds,
                read=timeouts.read_seconds,
                write=timeouts.read_seconds,
                pool=None,
            ).as_dict()
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def send(self, path: str, content: bytes) -> httpx.Response:
        """POST ``content`` to ``path`` below the base URL; the caller reads the response and closes it.

        Raises:
            httpx.HTTPError: no response.
        """
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = _below(self._base_url, path)
        traced = outgoing_headers()
        headers = {**self._headers, **traced} if traced else self._headers
        return await self._transport.handle_async_request(
            httpx.Request("POST", url, headers=headers, content=content, extensions=self._extensions)
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


def _below(base_url: httpx.URL, path: str) -> httpx.URL:
    """``path`` below ``base_url``, whose escapes and query stay as they are."""
    folder, mark, query = base_url.raw_path.partition(b"?")
    return base_url.copy_with(raw_path=folder.rstrip(b"/") + b"/" + path.encode() + mark + query)


async def post(
    client: BackendClient, path: str, body: bytes, *, origin: Origin, settings: BackendSettings
) -> RawResponse:
    """POST ``body`` and read the answer whole, within the backend's limits of time and size.

    Raises:
        ModelError: no answer, too long an answer, or a status other than 2xx.
    """
    with transport_errors(origin):
        async with asyncio.timeout(settings.timeouts.total_seconds):
            response = await client.send(path, body)
            try:
                answer = await read_bounded(response, limit=settings.max_response_bytes, origin=origin)
            finally:
                await response.aclose()
    if not response.is_success:
        raise error_for_status(origin, response.status_code, response.headers, answer)
    return RawResponse(status=response.status_code, headers=response.headers, body=answer)


async def read_bounded(response: httpx.Response, *, limit: int, origin: Origin) -> bytes:
    """The body of ``response``.

    Raises:
        MalformedResponseError: it is longer than ``limit`` bytes.
    """
    pieces: list[bytes] = []
    length = 0
    async for piece in response.aiter_bytes():
        length += len(piece)
        if length > limit:
            raise MalformedResponseError(
                f"backend {origin.backend} sent more than {limit} bytes "
                f"(backends.{origin.backend}.max_response_bytes)",
                backend=origin.backend,
            )
        pieces.append(piece)
    return b"".join(pieces)


def encode(body: JsonObject, *, origin: Origin) -> bytes:
    """``body`` as JSON bytes.

    Raises:
        RequestRefusedError: a text in it is no valid Unicode, which no backend would take.
    """
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise RequestRefusedError(
            f"the request cannot be sent to backend {origin.backend}: {error}", backend=origin.backend
        ) from None


def open_transport(settings: BackendSettings) -> httpx.AsyncBaseTransport:
    """Connections to one backend, or the simulated one in their place."""
    if settings.kind == "simulated":
        return SimulatedTransport(settings.simulated or SimulatedSettings())
    return open_plain_transport()


def open_plain_transport() -> httpx.AsyncBaseTransport:
    """Connections without cookies, redirects, proxies or anything else from the environment."""
    tls = _tls()

    def session() -> aiohttp.ClientSession:
        # The adaptive limiter says how many requests are in flight; a second limit here would hide waiting.
        connector = aiohttp.TCPConnector(
            limit=0, ssl=tls, keepalive_timeout=_KEEP_ALIVE_SECONDS, ttl_dns_cache=_DNS_SECONDS
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return AiohttpTransport(verify=tls, trust_env=False, client=session)


@functools.cache
def _tls() -> ssl.SSLContext:
    """What is needed to trust servers: reading all certificates takes 30 ms and half a megabyte each time."""
    return httpx.create_ssl_context(trust_env=False)
