"""The page of the models: what each is answered with, and what that has gained."""

from fastapi import APIRouter
from fastapi.responses import Response

from app.dashboard.pages import CurrentPage, PageRoute

_PERIODS = (1, 7, 30, 90)

router = APIRouter(prefix="/dashboard/models", include_in_schema=False, route_class=PageRoute)


@router.get("")
async def list_models(page: CurrentPage, days: int = 30) -> Response:
    """All targets with production version, gain, traffic, cost and last job."""
    overview = await page.api.get("/v1/overview", {"days": days})
    return page.render("models.html", overview=overview, days=days, periods=sorted({*_PERIODS, days}))
