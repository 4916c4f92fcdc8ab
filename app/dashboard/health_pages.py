"""The page that says how the service does."""

from fastapi import APIRouter
from fastapi.responses import Response

from app.access.principal import Scope
from app.dashboard.pages import CurrentPage, PageRoute

router = APIRouter(prefix="/dashboard/health", include_in_schema=False, route_class=PageRoute)


@router.get("")
async def show_health(page: CurrentPage) -> Response:
    """The probes of this process, and for administrators the backends as it sees them."""
    alive = await page.api.get("/livez")
    readiness = await page.api.get("/readyz", unready=True)
    routes = await page.api.get("/v1/routes") if page.principal.may(Scope.ADMIN) else None
    return page.render("health.html", alive=alive, readiness=readiness, routes=routes)
