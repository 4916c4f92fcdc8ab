"""``GET /v1/overview``."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.auth import OptimizingPrincipal
from app.dependencies import CurrentResources
from app.overview.schemas import Overview
from app.overview.service import OverviewService

router = APIRouter(tags=["overview"])


@router.get("/v1/overview")
async def get_overview(
    resources: CurrentResources,
    principal: OptimizingPrincipal,
    days: Annotated[int, Query(ge=1, le=366, description="Of traffic, today among them")] = 30,
) -> Overview:
    """Each target with its production version, what that has gained, its traffic and its last job."""
    models = [name for name in resources.models.target_names() if principal.may_ask(name)]
    return await OverviewService(resources).show(models, days=days)
