"""Probes, open to everybody."""

from typing import Any, Final

from fastapi import APIRouter, Response, status

from app.dependencies import CurrentResources
from app.health.schemas import Alive, Readiness
from app.health.service import check_readiness
from app.version import VERSION

router = APIRouter(tags=["health"])

_NOT_READY: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": Readiness, "description": "Not now; checks say why."}
}


@router.get("/livez", summary="Is the process alive?")
@router.get("/healthz", summary="The same as /livez")
async def livez() -> Alive:
    """Always ok: the process answers."""
    return Alive(version=VERSION)


@router.get("/readyz", summary="Can it serve?", responses=_NOT_READY, response_model_exclude_none=True)
@router.get("/health", summary="The same as /readyz", responses=_NOT_READY, response_model_exclude_none=True)
async def readyz(resources: CurrentResources, response: Response) -> Readiness:
    """200 or 503: the database, its schema, the limits of backends, and vLLM where it is ours."""
    vllm = resources.vllm
    state = None if vllm is None else vllm.state
    readiness = await check_readiness(resources.database, resources.meeting, state)
    if readiness.status != "ok":
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return readiness
