"""One HTTP client per backend: httpx's interface on aiohttp's connections.

httpx's own pool slows down as connections grow and cannot keep hundreds of calls in flight.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport
from pydantic import SecretStr

from app.llm.errors import Origin, error_for_status, transport_errors
from app.llm.simulated.transport import SimulatedTransport
from app.settings import BackendSettings, SimulatedSettings
from optimizer.errors import MalformedResponseError, RequestRefusedError
from optimizer.types import JsonObject

SIMULATED_URL = "http://simulated.invalid/v1"

_KEEP_ALIVE_SECONDS = 30.0
_DNS_SECONDS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class RawResponse:
    """A 2xx response: status, headers and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def open_client(settings: BackendSettings, *, key: SecretStr | None) -> httpx.AsyncClient:
    """The client of one backend. Close it with ``aclose``; nothing is connected before the first request."""
    timeouts = settings.timeouts
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    if key is not None:
        headers["authorization"] = f"Bearer {key.get_secret_value()}"
    return httpx.AsyncClient(
        base_url=SIMULATED_URL if settings.base_url is None else str(settings.base_url),
        headers=headers,
        transport=_transport(settings),
        trust_env=False,
        timeout=httpx.Timeout(
            connect=timeouts.connect_seconds,
            read=timeouts.read_seconds,
            write=timeouts.read_seconds,
            pool=None,
        ),
    )


async def post(
    client: httpx.AsyncClient, path: str, body: bytes, *, origin: Origin, settings: BackendSettings
) -> RawResponse:
    """POST ``body`` and read the answer whole, within the backend's limits of time and size.

    Raises:
        ModelError: no answer, too long an answer, or a status other than 2xx.
    """
    with transport_errors(origin):
        async with (
            asyncio.timeout(settings.timeouts.total_seconds),
            client.stream("POST", path, content=body) as response,
        ):
            answer = await read_bounded(response, limit=settings.max_response_bytes, origin=origin)
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


def _transport(settings: BackendSettings) -> httpx.AsyncBaseTransport:
    if settings.kind == "simulated":
        return SimulatedTransport(settings.simulated or SimulatedSettings())
    tls = httpx.create_ssl_context(trust_env=False)

    def session() -> aiohttp.ClientSession:
        # The adaptive limiter says how many requests are in flight; a second limit here would hide waiting.
        connector = aiohttp.TCPConnector(
            limit=0, ssl=tls, keepalive_timeout=_KEEP_ALIVE_SECONDS, ttl_dns_cache=_DNS_SECONDS
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return AiohttpTransport(verify=tls, trust_env=False, client=session)
