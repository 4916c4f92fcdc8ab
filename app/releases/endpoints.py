"""``/v1/releases``: how a model's requests are split between versions. Model ids may hold slashes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.allowed_models import AllowedModels
from app.auth import OptimizingPrincipal
from app.dependencies import CurrentResources
from app.release_control.policy import ReleasePolicy
from app.releases.schemas import LoggedAnswerList, ReleaseChangeList, ReleaseList, ReleaseObject
from app.releases.service import ReleaseService, unknown_model
from app.resources import Resources


async def _itself(_: Resources, model: str) -> str:
    return model


_ALLOWED = AllowedModels("model", _itself, unknown_model)

router = APIRouter(prefix="/v1/releases", tags=["releases"], dependencies=[Depends(_ALLOWED)])

After = Annotated[int, Query(ge=0, lt=2**63)]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("")
async def list_releases(resources: CurrentResources, principal: OptimizingPrincipal) -> ReleaseList:
    """The releases of the models that the key may ask, with what has come of them."""
    found = await ReleaseService(resources).all()
    return ReleaseList(data=[item for item in found if principal.may_ask(item.model)])


@router.get("/{model:path}/changes")
async def list_release_changes(
    model: str, resources: CurrentResources, _: OptimizingPrincipal
) -> ReleaseChangeList:
    """The audit log of a model's release, newest first; moves of labels are in ``/v1/prompts``."""
    return ReleaseChangeList(data=await ReleaseService(resources).changes(model))


@router.get("/{model:path}/answers")
async def list_release_answers(
    model: str, resources: CurrentResources, _: OptimizingPrincipal, after: After = 0, limit: Limit = 100
) -> LoggedAnswerList:
    """Answers with arm, propensity, outcome and score, for valuing another policy by them; oldest first."""
    found = await ReleaseService(resources).answers(model, after=after, limit=limit + 1)
    return LoggedAnswerList(data=found[:limit], has_more=len(found) > limit)


@router.get("/{model:path}")
async def get_release(model: str, resources: CurrentResources, _: OptimizingPrincipal) -> ReleaseObject:
    """A model's release with what has come of it."""
    return await ReleaseService(resources).get(model)


@router.put("/{model:path}")
async def set_release(
    model: str, policy: ReleasePolicy, resources: CurrentResources, principal: OptimizingPrincipal
) -> ReleaseObject:
    """Set the whole policy of a model's traffic."""
    return await ReleaseService(resources).set(model, policy, actor=principal.name)


@router.delete("/{model:path}", status_code=204)
async def end_release(model: str, resources: CurrentResources, principal: OptimizingPrincipal) -> None:
    """End a model's release: production answers all its requests, a moment later in other processes."""
    await ReleaseService(resources).end(model, actor=principal.name)
