"""Who is asking, and whether they may: the principal of every request, and the scope of every endpoint.

Without a key the service listens on loopback only, and the browser of whoever runs it is what can be abused:
any page it shows may send requests to loopback. So there a request has to come from no page, or from one of
this machine.

A browser that has signed in sends a session's cookie instead of a key. What it changes has to come from a
page of ours: browsers send cookies along with what any page makes them send.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Protocol
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import iter_route_contexts
from fastapi.security.base import SecurityBase
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from app.access.key_text import prefix_of
from app.access.keyring import KeyProblem
from app.access.principal import Principal, Scope, operator
from app.access.sessions import CSRF_HEADER, SESSION_COOKIE, Sessions, csrf_token, is_same_origin
from app.errors import ApiError, ErrorAnswer, answer_to
from app.request_headers import headers_of
from app.telemetry.current import timed
from app.telemetry.timing import Part
from store.errors import StoreError

LOCAL: Final = operator("local")
KEY_OF_THE_SETTINGS: Final = operator("api_key")

_BEARER = "bearer "
_PROTECTED = "/v1/"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PROBLEMS: Final = {
    KeyProblem.UNKNOWN: "the API key is missing or wrong: send 'Authorization: Bearer <key>'",
    KeyProblem.EXPIRED: "the API key has expired: ask whoever runs this service for another one",
    KeyProblem.REVOKED: "the API key was revoked: ask whoever runs this service for another one",
}


class Keys(Protocol):
    """Stored keys."""

    async def find(self, text: str) -> Principal | KeyProblem:
        """Whom ``text`` stands for."""
        ...


class Authenticator:
    """Checks API keys in constant time; of the settings' key it holds the hash, never the key."""

    def __init__(self, api_key: str | None, keys: Keys, sessions: Sessions | None = None) -> None:
        """An authenticator.

        Args:
            api_key: may do everything; where it is None, whoever sends no stored key may; no foreign page.
            keys: the stored ones.
            sessions: of browsers that have signed in; None for none.
        """
        self._digest = None if api_key is None else hashlib.sha256(api_key.encode()).digest()
        self._keys = keys
        self._sessions = sessions

    @property
    def asks_for_keys(self) -> bool:
        """Whether nobody may do anything without a key."""
        return self._digest is not None

    async def authenticate(self, headers: Mapping[str, str], method: str = "GET") -> Principal:
        """The principal behind a request.

        Raises:
            ApiError: 401, the key is missing or wrong; 403, without a key, a web page from elsewhere asks, or
                a session is used by something that cannot be told from one.
            StoreUnavailableError: the database is away, and nothing is known about the key.
        """
        if (token := self.session_token(headers)) is not None:
            return await self._by_session(token, headers, method)
        header = headers.get("authorization", "")
        given = header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else ""
        if given and (found := await self._find(given)) is not KeyProblem.UNKNOWN:
            return _let_in(found)
        if self._digest is not None or prefix_of(given) is not None:
            raise _unauthorized(KeyProblem.UNKNOWN)
        _refuse_foreign_pages(headers)
        return LOCAL

    def session_token(self, headers: Mapping[str, str]) -> str | None:
        """The token of the session that a request belongs to; a key beside it counts for more.

        Without a key of the settings nobody has to sign in, and sessions of former times mean nothing.
        """
        if self._sessions is None or self._digest is None or "authorization" in headers:
            return None
        return cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE) or None

    async def sign_in(self, key: str) -> str:
        """Begin a session for ``key``; returns its token.

        Raises:
            ApiError: 401, the key is wrong, revoked or has expired.
            StoreUnavailableError: the database is away.
        """
        if self._sessions is None:
            raise _unauthorized(KeyProblem.UNKNOWN)
        principal = _let_in(await self._find(key))
        return await self._sessions.begin(principal.key_number, self._digest)

    async def sign_out(self, token: str) -> None:
        """End a session."""
        if self._sessions is not None:
            await self._sessions.end(token)

    async def _find(self, given: str) -> Principal | KeyProblem:
        if hmac.compare_digest(hashlib.sha256(given.encode()).digest(), self._digest or b""):
            return KEY_OF_THE_SETTINGS
        if prefix_of(given) is None:
            return KeyProblem.UNKNOWN
        with timed(Part.STORE):
            return await self._keys.find(given)

    async def _by_session(self, token: str, headers: Mapping[str, str], method: str) -> Principal:
        if self._sessions is None:
            raise _unauthorized(KeyProblem.UNKNOWN)
        with timed(Part.STORE):
            found = await self._sessions.find(token, self._digest, KEY_OF_THE_SETTINGS)
        if isinstance(found, KeyProblem):
            raise _signed_out(found)
        if method not in _SAFE_METHODS:
            _refuse_other_pages(token, headers)
        return found


class AuthenticationMiddleware:
    """Names the principal of every request below ``/v1/`` before anything of its body is read."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        """Guard ``app``."""
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http" and scope["path"].startswith(_PROTECTED):
            try:
                principal = await self._authenticator.authenticate(headers_of(scope), scope["method"])
            except (ApiError, StoreError) as error:
                answer = answer_to(error)
                if answer is None:
                    raise
                await answer.response()(scope, receive, send)
                return
            scope.setdefault("state", {})["principal"] = principal
        await self._app(scope, receive, send)


class Requires(SecurityBase):
    """The dependency of every endpoint below ``/v1/``: the caller, who has one of some scopes."""

    def __init__(self, *scopes: Scope) -> None:
        """Let in whoever has one of ``scopes``."""
        self.scopes = scopes
        self.model = HTTPBearer(description="A key of POST /v1/keys, or server.api_key of the settings.")
        self.scheme_name = "api_key"

    async def __call__(self, request: Request) -> Principal:
        """The caller, whom the middleware has named.

        Raises:
            ApiError: 403, it has none of the scopes.
        """
        principal: Principal = request.state.principal
        self.check(principal)
        return principal

    def check(self, principal: Principal) -> None:
        """Refuse ``principal`` where it has none of the scopes.

        Raises:
            ApiError: 403.
        """
        if not any(principal.may(scope) for scope in self.scopes):
            wanted = " or ".join(self.scopes)
            raise ApiError(
                ErrorAnswer(
                    status=403,
                    message=f"this API key may not do that: it needs the scope {wanted}",
                    type="permission_error",
                    code="insufficient_scope",
                )
            )


ServingPrincipal = Annotated[Principal, Security(Requires(Scope.SERVE), scopes=[Scope.SERVE])]
OptimizingPrincipal = Annotated[Principal, Security(Requires(Scope.OPTIMIZE), scopes=[Scope.OPTIMIZE])]
AdminPrincipal = Annotated[Principal, Security(Requires(Scope.ADMIN), scopes=[Scope.ADMIN])]
AnyPrincipal = Annotated[Principal, Security(Requires(*Scope), scopes=[*Scope])]


def required_scopes(app: FastAPI) -> dict[str, frozenset[Scope]]:
    """For each route below ``/v1/``, as "methods path": the scopes of which it requires one."""
    return {
        f"{'|'.join(sorted(route.methods or ()))} {route.path}": frozenset(
            _required(getattr(route, "dependant", None))
        )
        for route in iter_route_contexts(app.routes)
        # what has no path of its own may answer below any
        if route.path is None or route.path.startswith(_PROTECTED)
    }


def requirement_of(dependant: Dependant) -> Requires:
    """What a route with these dependencies requires of its callers.

    Raises:
        ValueError: it requires nothing.
    """
    found = next(_requirements(dependant), None)
    if found is None:
        raise ValueError(f"{dependant.path} does not say which scope it requires")
    return found


def _required(dependant: Dependant | None) -> Iterator[Scope]:
    for requirement in _requirements(dependant):
        yield from requirement.scopes


def _requirements(dependant: Dependant | None) -> Iterator[Requires]:
    if dependant is None:
        return
    if isinstance(dependant.call, Requires):
        yield dependant.call
    for below in dependant.dependencies:
        yield from _requirements(below)


def _unauthorized(problem: KeyProblem) -> ApiError:
    return ApiError(
        ErrorAnswer(
            status=401,
            message=_PROBLEMS[problem],
            type="authentication_error",
            code="invalid_api_key",
        )
    )


def _let_in(found: Principal | KeyProblem) -> Principal:
    if isinstance(found, KeyProblem):
        raise _unauthorized(found)
    return found


def _signed_out(problem: KeyProblem) -> ApiError:
    reason = {KeyProblem.EXPIRED: ": its key has expired", KeyProblem.REVOKED: ": its key was revoked"}
    return ApiError(
        ErrorAnswer(
            status=401,
            message=f"this session has ended{reason.get(problem, '')}; sign in again",
            type="authentication_error",
            code="session_ended",
        )
    )


def _refuse_other_pages(token: str, headers: Mapping[str, str]) -> None:
    given = headers.get(CSRF_HEADER, "").encode()
    if is_same_origin(headers) and hmac.compare_digest(given, csrf_token(token).encode()):
        return
    raise ApiError(
        ErrorAnswer(
            status=403,
            message=f"a session changes things only from pages of the dashboard, with their {CSRF_HEADER}: "
            "load the page again, or ask with an API key",
            type="permission_error",
            code="csrf_token_invalid",
        )
    )


def _refuse_foreign_pages(headers: Mapping[str, str]) -> None:
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
