"""The command line's clients for the service's own API."""

import contextlib
import ipaddress
import json
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import httpx
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from optimizer.errors import DrpoError, InvalidInputError

_TIMEOUT_SECONDS = 30.0
_PROBE_SECONDS = 2.0
_IPV4 = 4
_NO_KEY = "no-key-needed-on-loopback"


class ServiceError(DrpoError):
    """The service answered with an error, or not at all.

    Attributes:
        status: of its answer; None where there was none.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ApiClient:
    """Speaks to one service."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        """A client over ``http``, whose base URL is the service's."""
        self._http = http

    async def get(self, path: str, **params: str | int | list[str]) -> Any:
        """The JSON that ``GET path`` gives.

        Raises:
            ServiceError: the service cannot be reached, or refuses.
        """
        return await self._send("GET", path, params=params)

    async def post(self, path: str, body: object = None, *, patience: float | None = None) -> Any:
        """The JSON that ``POST path`` gives.

        Args:
            path: below the service's base URL.
            body: what is sent as JSON.
            patience: seconds to wait for the answer, where models have to write it; by default as for all.

        Raises:
            InvalidInputError: the body holds a number that JSON does not know, such as nan.
            ServiceError: the service cannot be reached, or refuses.
        """
        return await self._send_json("POST", path, body, patience)

    async def put(self, path: str, body: object) -> Any:
        """The JSON that ``PUT path`` gives.

        Raises:
            InvalidInputError: the body holds a number that JSON does not know, such as nan.
            ServiceError: the service cannot be reached, or refuses.
        """
        return await self._send_json("PUT", path, body)

    async def patch(self, path: str, body: object) -> Any:
        """The JSON that ``PATCH path`` gives.

        Raises:
            InvalidInputError: the body holds a number that JSON does not know, such as nan.
            ServiceError: the service cannot be reached, or refuses.
        """
        return await self._send_json("PATCH", path, body)

    async def delete(self, path: str) -> Any:
        """The JSON that ``DELETE path`` gives.

        Raises:
            ServiceError: the service cannot be reached, or refuses.
        """
        return await self._send("DELETE", path)

    async def upload(self, path: str, name: str, content: bytes) -> Any:
        """The JSON that uploading a file gives.

        Raises:
            ServiceError: the service cannot be reached, or refuses.
        """
        return await self._send("POST", path, files={"file": (name, content)})

    async def _send_json(self, method: str, path: str, body: object, patience: float | None = None) -> Any:
        try:
            content = json.dumps(body, allow_nan=False)
        except ValueError:
            raise InvalidInputError("nan and inf are no numbers that can be used here") from None
        how: dict[str, Any] = {"content": content, "headers": {"content-type": "application/json"}}
        if patience is not None:
            how["timeout"] = httpx.Timeout(_TIMEOUT_SECONDS, read=patience)
        return await self._send(method, path, **how)

    async def _send(self, method: str, path: str, **how: Any) -> Any:
        try:
            response = await self._request(method, path, **how)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise ServiceError(f"the service at {self._http.base_url} cannot be reached: {reason}") from error
        if not response.is_success:
            raise ServiceError(_message(response), status=response.status_code)
        try:
            return response.json()
        except ValueError as error:
            raise ServiceError(
                f"{self._http.base_url} does not answer like drpo: is the URL right?"
            ) from error

    async def _request(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Ask once, or twice where a connection was lost and asking changes nothing.

        Servers close idle connections, now and then just when a request leaves on one.
        """
        try:
            return await self._http.request(method, path, **how)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            if method != "GET":
                raise
            return await self._http.request(method, path, **how)


@contextlib.asynccontextmanager
async def api_client(base_url: str, api_key: str | None) -> AsyncIterator[ApiClient]:
    """A client for the service at ``base_url``."""
    headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
    async with httpx.AsyncClient(
        base_url=base_url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False
    ) as http:
        yield ApiClient(http)


def open_sdk(base_url: str, api_key: str | None) -> AsyncOpenAI:
    """The official SDK for the service at ``base_url``; like ``api_client`` it ignores proxies."""
    return AsyncOpenAI(
        base_url=f"{base_url}/v1",
        api_key=api_key or _NO_KEY,
        http_client=DefaultAsyncHttpxClient(trust_env=False),
    )


def read_base_url(given: str) -> str:
    """The service's base URL in what a person has typed, with or without ``/v1``.

    Raises:
        InvalidInputError: that is no URL.
    """
    try:
        url = httpx.URL(given)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise InvalidInputError(
            f"--url {given!r} is no URL: write it like http://127.0.0.1:8000", param="url"
        )
    return given.rstrip("/").removesuffix("/v1")


def local_url(host: str, port: int) -> str:
    """Where this machine reaches a service that listens on ``host``; that may be all of its addresses."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == _IPV4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def is_running(base_url: str) -> bool:
    """Whether a service answers at ``base_url``."""
    try:
        async with httpx.AsyncClient(base_url=base_url, timeout=_PROBE_SECONDS, trust_env=False) as http:
            return bool((await http.get("/livez")).json().get("service") == "drpo")
    except (httpx.TransportError, ValueError, AttributeError):
        return False


def parse_setting(text: str, option: str = "--set") -> tuple[str, Any]:
    """``name=value`` after ``option`` of the command line; the value is JSON where it parses, else text.

    Raises:
        InvalidInputError: there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidInputError(f"{option} {text!r}: write name=value, such as depth=8", param=option[2:])
    try:
        return name, json.loads(value, parse_constant=_refuse)
    except ValueError:
        return name, value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _message(response: httpx.Response) -> str:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text[:500]
    return f"{response.status_code}: {message}"
