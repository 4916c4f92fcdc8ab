"""The dashboard as one router; whatever is below it and is no page is a page that says so."""

from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from app.dashboard.assets import router as assets_router
from app.dashboard.audit_pages import router as audit_router
from app.dashboard.example_pages import router as example_router
from app.dashboard.health_pages import router as health_router
from app.dashboard.job_pages import router as job_router
from app.dashboard.key_pages import router as key_router
from app.dashboard.model_pages import router as model_router
from app.dashboard.pages import PageRoute
from app.dashboard.playground_pages import router as playground_router
from app.dashboard.prompt_pages import router as prompt_router
from app.dashboard.security_headers import PREFIX
from app.dashboard.sign_in import router as sign_in_router
from app.dashboard.sign_in_limits import SignInLimits
from app.errors import not_found

_PAGES: Final = (
    assets_router,
    sign_in_router,
    model_router,
    job_router,
    prompt_router,
    playground_router,
    example_router,
    key_router,
    audit_router,
    health_router,
)


def install_dashboard(app: FastAPI) -> None:
    """Add the dashboard's pages to the API, which they read."""
    app.state.sign_in_limits = SignInLimits()
    elsewhere = APIRouter(include_in_schema=False, route_class=PageRoute)
    elsewhere.get(f"{PREFIX}/{{path:path}}")(no_page)
    for router in (*_PAGES, elsewhere):
        app.include_router(router)


async def no_page(request: Request) -> Response:
    """The page for an address that is none.

    Raises:
        ApiError: always.
    """
    raise not_found(f"There is no page at {request.url.path}.")
