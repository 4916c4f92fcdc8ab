"""Who is asking. One key for everything for now; without a key the service listens on loopback only.

Without a key the browser of whoever runs the service is what can be abused: any page it shows may send
requests to loopback. So there a request has to come from no page, or from one of this machine.
"""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import ApiError, ErrorAnswer

_BEARER = "bearer "
_PROTECTED = "/v1/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """The caller, as audit logs name it."""

    name: str


class Authenticator:
    """Checks API keys in constant time; it holds the key's hash, never the key."""

    def __init__(self, api_key: str | None) -> None:
        """An authenticator that wants ``api_key``; where that is None, it only refuses foreign pages."""
        self._digest = None if api_key is None else hashlib.sha256(api_key.encode()).digest()

    def authenticate(self, headers: Headers) -> Principal:
        """The principal behind a request.

        Raises:
            ApiError: 401, the key is missing or wrong; 403, without a key, a web page from elsewhere asks.
        """
        if self._digest is None:
            _refuse_foreign_pages(headers)
            return Principal(name="local")
        header = headers.get("authorization", "")
        given = header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else ""
        if not hmac.compare_digest(hashlib.sha256(given.encode()).digest(), self._digest):
            raise ApiError(
                ErrorAnswer(
                    status=401,
                    message="the API key is missing or wrong: send 'Authorization: Bearer <key>'",
                    type="authentication_error",
                    code="invalid_api_key",
                )
            )
        return Principal(name="api_key")


class AuthenticationMiddleware:
    """Names the principal of every request below ``/v1/`` before anything of its body is read."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        """Guard ``app``."""
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http" and scope["path"].startswith(_PROTECTED):
            try:
                principal = self._authenticator.authenticate(Headers(scope=scope))
            except ApiError as error:
                await error.answer.response()(scope, receive, send)
                return
            scope.setdefault("state", {})["principal"] = principal
        await self._app(scope, receive, send)


async def authenticated(request: Request) -> Principal:
    """The caller of ``request``, whom the middleware has let in."""
    principal: Principal = request.state.principal
    return principal


CurrentPrincipal = Annotated[Principal, Depends(authenticated)]


def _refuse_foreign_pages(headers: Headers) -> None:
    origin = headers.get("origin")
    foreign = origin is not None and not _is_local(_host_in(origin))
    # a name that an attacker's DNS points to loopback has a dot; a container's or a test's has none
    if foreign or not _is_local(_host_in(f"//{headers.get('host', '')}")):
        raise ApiError(
            ErrorAnswer(
                status=403,
                message="requests from web pages elsewhere, or under a public host name, are refused while "
                "the service has no key: set server.api_key, or ask under http://127.0.0.1",
                type="permission_error",
                code="foreign_origin",
            )
        )


def _host_in(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # such as brackets that hold no address
        return None


def _is_local(host: str | None) -> bool:
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host or host.endswith(".localhost")
