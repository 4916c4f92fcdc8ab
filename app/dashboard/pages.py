"""What every page is made with: whose it is, the API as they may read it, and templates.

All that a template is given is text, whatever it looks like: autoescape is always on.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from typing_extensions import override

from app.access.principal import Principal, Scope
from app.access.sessions import csrf_token
from app.auth import Authenticator
from app.dashboard.api_reader import ApiReader, ApiRefusedError
from app.dashboard.assets import asset_url, chart_script, chart_url
from app.dashboard.formats import FILTERS
from app.dashboard.navigation import places_for
from app.errors import ApiError, answer_to
from app.version import VERSION
from store.errors import StoreUnavailableError

SIGN_IN: Final = "/dashboard/sign-in"
_UNAUTHORIZED: Final = 401
_BAD_REQUEST: Final = 400
_REFUSALS: Final = (ApiError, StoreUnavailableError)
"""For what no page can be opened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page that is being made.

    Attributes:
        request: for it.
        principal: whose page it is.
        token: of their session; None where nobody had to sign in.
        api: the public API, read as them.
    """

    request: Request
    principal: Principal
    token: str | None
    api: ApiReader

    def render(self, template: str, *, status_code: int = 200, **context: object) -> HTMLResponse:
        """The page from a template, which also knows what the base layout shows."""
        return rendered(
            template,
            status_code=status_code,
            path=self.request.url.path,
            places=places_for(self.principal),
            principal=self.principal,
            may_optimize=self.principal.may(Scope.OPTIMIZE),
            is_signed_in=self.token is not None,
            csrf_token="" if self.token is None else csrf_token(self.token),
            **context,
        )


async def open_page(request: Request) -> Page:
    """The page for a request of somebody who may see pages at all.

    Raises:
        ApiError: 401, they have to sign in; 403, without keys, a page elsewhere asks.
        StoreUnavailableError: the database is away.
    """
    authenticator: Authenticator = request.app.state.authenticator
    principal = await authenticator.authenticate(request.headers, request.method)
    return Page(
        request=request,
        principal=principal,
        token=authenticator.session_token(request.headers),
        api=ApiReader(request.app, request.headers),
    )


CurrentPage = Annotated[Page, Depends(open_page)]


class PageRoute(APIRoute):
    """A route whose refusals are pages, too; whoever has to sign in is sent there, and then back."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except (*_REFUSALS, ApiRefusedError, RequestValidationError, ExceptionGroup) as error:
                return await refused(request, *_reason(error))

        return answer


def _reason(error: Exception) -> tuple[int, str]:
    """Status and message for what a page cannot be made of; of several at once, the first one's."""
    match error:
        case ApiRefusedError():
            return error.status, error.message
        case RequestValidationError():
            return _BAD_REQUEST, "; ".join(item["msg"] for item in error.errors())
        case ExceptionGroup():
            return _reason(error.exceptions[0])
        case _ if (answer := answer_to(error)) is not None:
            return answer.status, answer.message
        case _:
            raise error


async def refused(request: Request, status: int, message: str) -> Response:
    """The page that says why there is no other."""
    if status == _UNAUTHORIZED:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(
            f"{SIGN_IN}?next={quote(request.url.path + query, safe='/')}", status_code=303
        )
    try:
        page = await open_page(request)
    except _REFUSALS:
        return rendered("refused_outside.html", status_code=status, message=message)
    return page.render("refused.html", status_code=status, problem=status, message=message)


def rendered(template: str, *, status_code: int = 200, **context: object) -> HTMLResponse:
    """A page from a template alone."""
    return HTMLResponse(_environment().get_template(template).render(context), status_code=status_code)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("app.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(
        asset=asset_url, chart_url=chart_url, chart_script=chart_script, version=VERSION
    )
    return environment
