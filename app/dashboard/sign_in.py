"""The way in and out: an API key for a session's cookie."""

import math
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from app.access.sessions import SESSION_COOKIE, is_same_origin
from app.auth import Authenticator
from app.dashboard.navigation import places_for
from app.dashboard.pages import SIGN_IN, CurrentPage, PageRoute, rendered
from app.dashboard.sign_in_limits import SignInLimits
from app.errors import ApiError, ErrorAnswer

HOME: Final = "/dashboard/"
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/")
@router.get("/dashboard")
@router.get("/dashboard/")
async def home(page: CurrentPage) -> Response:
    """To the first page that the key may see."""
    return RedirectResponse(places_for(page.principal)[0].path, status_code=303)


@router.get(SIGN_IN)
async def sign_in_page(request: Request, next: str = HOME) -> Response:  # noqa: A002 - as the address has it
    """The form that asks for a key; where none is needed, the page that it was for."""
    authenticator: Authenticator = request.app.state.authenticator
    if not authenticator.asks_for_keys:
        return RedirectResponse(_inside(next), status_code=303)
    return rendered("sign_in.html", next=_inside(next), problem=None)


@router.post(SIGN_IN)
async def sign_in(
    request: Request,
    key: Annotated[str, Form(max_length=1000)] = "",
    next: Annotated[str, Form(max_length=2000)] = HOME,  # noqa: A002
) -> Response:
    """Begin a session for whoever knows a key; that which the browser had until now ends."""
    _refuse_elsewhere(request)
    limits: SignInLimits = request.app.state.sign_in_limits
    authenticator: Authenticator = request.app.state.authenticator
    address = request.client.host if request.client else ""
    if wait := limits.seconds_to_wait(address):
        problem = f"Too many wrong keys from this address. Try again in {math.ceil(wait)} s."
        return rendered("sign_in.html", status_code=_TOO_MANY, next=_inside(next), problem=problem)
    try:
        token = await authenticator.sign_in(key.strip())
    except ApiError as error:
        limits.note_wrong_key(address)
        problem = error.answer.message.partition(":")[0].capitalize() + "."
        return rendered("sign_in.html", status_code=_UNAUTHORIZED, next=_inside(next), problem=problem)
    if (former := authenticator.session_token(request.headers)) is not None:
        await authenticator.sign_out(former)  # its cookie goes now, and nobody could end it afterwards
    answer = RedirectResponse(_inside(next), status_code=303)
    answer.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=math.floor(request.app.state.resources.access.sessions.lasts_seconds),
        httponly=True,
        samesite="strict",
        secure=_is_encrypted(request),
    )
    return answer


@router.post("/dashboard/sign-out")
async def sign_out(page: CurrentPage) -> Response:
    """End the session, here and in the store."""
    if page.token is not None:
        await page.request.app.state.authenticator.sign_out(page.token)
    answer = RedirectResponse(SIGN_IN, status_code=303)
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return answer


def _inside(path: str) -> str:
    """``path`` where it is one of ours, else the first page: nobody is sent elsewhere from here."""
    is_ours = path.startswith("/dashboard/") and path.isascii() and path.isprintable() and "\\" not in path
    return path if is_ours and not path.startswith((SIGN_IN, "/dashboard/sign-out")) else HOME


def _is_encrypted(request: Request) -> bool:
    """Whether the browser has asked over TLS, which a proxy before us may have ended."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def _refuse_elsewhere(request: Request) -> None:
    if is_same_origin(request.headers):
        return
    raise ApiError(
        ErrorAnswer(
            status=403,
            message="sign in on the page of this service",
            type="permission_error",
            code="foreign_origin",
        )
    )
