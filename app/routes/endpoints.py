"""``/v1/routes``."""

from fastapi import APIRouter

from app.auth import AdminPrincipal
from app.dependencies import CurrentResources
from app.routes.schemas import RoutedModels
from app.routes.service import list_routes

router = APIRouter(prefix="/v1/routes", tags=["routes"])


@router.get("", summary="Who answers for each model")
async def get_routes(resources: CurrentResources, _: AdminPrincipal) -> RoutedModels:
    """The backends of every model, and which are left alone now: as the process that answers sees them."""
    return list_routes(resources.models)
