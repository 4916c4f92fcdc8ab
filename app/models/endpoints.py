"""``GET /v1/models``."""

from fastapi import APIRouter

from app.auth import AnyPrincipal
from app.dependencies import CurrentResources
from app.models.schemas import ModelCard, ModelList
from app.models.service import find_model, list_models

router = APIRouter(tags=["models"])


@router.get("/v1/models", summary="List models")
async def get_models(resources: CurrentResources, principal: AnyPrincipal) -> ModelList:
    """The configured targets and embedding models that the key may ask."""
    return list_models(resources.settings, principal)


@router.get("/v1/models/{model:path}", summary="Retrieve a model")
async def get_model(model: str, resources: CurrentResources, principal: AnyPrincipal) -> ModelCard:
    """One target or embedding model; its name may hold slashes."""
    return find_model(resources.settings, model, principal)
