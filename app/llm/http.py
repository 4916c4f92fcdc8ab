"""One HTTP client per backend: its address, its key, and answers within bounds of time and size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import aiohttp
import orjson
from multidict import CIMultiDict
from pydantic import SecretStr
from yarl import URL

from app.backend_settings import SimulatedSettings
from app.llm.connections import BackendResponse, Connections, TransportConnections
from app.llm.engine.library import is_installed
from app.llm.engine.transport import EngineTransport
from app.llm.errors import Origin, error_for_status, transport_errors
from app.llm.network import NetworkConnections
from app.llm.simulated.transport import SimulatedTransport
from app.llm.time_limit import time_limit
from app.settings import BackendSettings
from app.telemetry.propagation import outgoing_headers
from app.version import VERSION
from optimizer.errors import InvalidInputError, MalformedResponseError, RequestRefusedError
from optimizer.quick_values import quick
from optimizer.types import JsonObject

IN_PROCESS_URL = "http://in-process.invalid/v1"


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class RawResponse:
    """A 2xx response: status, headers and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class BackendClient:
    """POSTs to one backend. Use as an async context manager, or close it with ``aclose``.

    Nothing is connected before the first request.

    Attributes:
        connections: by which it is reached.
    """

    def __init__(self, settings: BackendSettings, *, key: SecretStr | None) -> None:
        """The client of the backend that ``settings`` describe; ``key`` is its API key."""
        self.connections = open_connections(settings)
        self._base_url = IN_PROCESS_URL if settings.base_url is None else str(settings.base_url)
        self._urls: dict[str, URL] = {}
        self._closed = False
        # as aiohttp has them, so that it copies them only once for each request
        self._headers = CIMultiDict(
            {
                "accept": "application/json, text/event-stream",
                "accept-encoding": "identity",
                "content-type": "application/json",
                "user-agent": f"drpo/{VERSION}",
            }
        )
        if key is not None:
            self._headers["authorization"] = f"Bearer {key.get_secret_value()}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        await self.aclose()

    async def send(self, path: str, content: bytes) -> BackendResponse:
        """POST ``content`` to ``path`` below the base URL; the caller reads the response and closes it.

        Raises:
            Exception: no response; see ``Connections``.
        """
        if self._closed:
            raise aiohttp.ClientConnectionError("the client is closed")
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = _below(self._base_url, path)
        traced = outgoing_headers()
        headers: Mapping[str, str] = {**self._headers, **traced} if traced else self._headers
        return await self.connections.post(url, headers, content)

    async def aclose(self) -> None:
        """Close all connections; who sends something after that meets a connection that broke."""
        self._closed = True
        await self.connections.aclose()


def _below(base_url: str, path: str) -> URL:
    """``path`` below ``base_url``, whose escapes and query stay as they are."""
    folder, mark, query = base_url.partition("?")
    return URL(f"{folder.rstrip('/')}/{path}{mark}{query}")


async def post(
    client: BackendClient, path: str, body: bytes, *, origin: Origin, settings: BackendSettings
) -> RawResponse:
    """POST ``body`` and read the answer whole, within the backend's limits of time and size.

    Raises:
        ModelError: no answer, too long an answer, or a status other than 2xx.
    """
    with transport_errors(origin), time_limit(settings.timeouts.total_seconds):
        response = await client.send(path, body)
        try:
            answer = await read_bounded(response, limit=settings.max_response_bytes, origin=origin)
        finally:
            await response.aclose()
    if not is_success(response.status):
        raise error_for_status(origin, response.status, response.headers, answer)
    return RawResponse(status=response.status, headers=response.headers, body=answer)


async def read_bounded(response: BackendResponse, *, limit: int, origin: Origin) -> bytes:
    """The body of ``response``.

    Raises:
        MalformedResponseError: it is longer than ``limit`` bytes.
    """
    body = response.arrived()  # mostly it has come with its head
    if body is not None:
        if len(body) > limit:
            raise _too_long(limit, origin)
        return body
    pieces: list[bytes] = []
    length = 0
    async for piece in response.pieces():
        length += len(piece)
        if length > limit:
            raise _too_long(limit, origin)
        pieces.append(piece)
    return b"".join(pieces)


def _too_long(limit: int, origin: Origin) -> MalformedResponseError:
    return MalformedResponseError(
        f"backend {origin.backend} sent more than {limit} bytes "
        f"(backends.{origin.backend}.max_response_bytes)",
        backend=origin.backend,
    )


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


def is_success(status: int) -> bool:
    """Whether ``status`` is a 2xx."""
    return 200 <= status < 300  # noqa: PLR2004 - HTTP's numbers


def open_connections(settings: BackendSettings) -> Connections:
    """Connections to one backend, or what answers in this process in their place.

    Raises:
        InvalidInputError: it takes vLLM, which is not installed.
    """
    if settings.kind == "simulated":
        transport = SimulatedTransport(settings.simulated or SimulatedSettings())
        return TransportConnections(transport, settings.timeouts)
    if settings.engine is not None:
        if not is_installed():
            raise InvalidInputError(
                "a backend of kind 'vllm' runs in drpo's own environment, which lacks vLLM: "
                "install it there, or use kind = 'openai' and a server ('drpo serve --vllm' starts one)"
            )
        return TransportConnections(EngineTransport(settings.engine), settings.timeouts)
    return NetworkConnections(settings.timeouts)
