"""``/v1/prompts``. Model ids may hold slashes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from app.allowed_models import AllowedModels
from app.auth import OptimizingPrincipal
from app.dependencies import CurrentResources
from app.prompts.schemas import (
    LABEL_PATTERN,
    LabelMoveList,
    LabelMoveObject,
    LabelObject,
    MoveLabel,
    PromptVersionList,
    PromptVersionObject,
    ServedPromptList,
    UndoMove,
)
from app.prompts.service import PromptService, unknown_model
from app.resources import Resources


async def _itself(_: Resources, model: str) -> str:
    return model


_ALLOWED = AllowedModels("model", _itself, unknown_model)

router = APIRouter(prefix="/v1/prompts", tags=["prompts"], dependencies=[Depends(_ALLOWED)])


@router.get("")
async def list_served_prompts(
    resources: CurrentResources, principal: OptimizingPrincipal
) -> ServedPromptList:
    """The prompt that each model that the key may ask is answered with."""
    served = await PromptService(resources).served()
    return ServedPromptList(data=[item for item in served if principal.may_ask(item.model)])


@router.get("/{model:path}/versions")
async def list_versions(model: str, resources: CurrentResources, _: OptimizingPrincipal) -> PromptVersionList:
    """A model's versions, newest first, without their examples."""
    return PromptVersionList(data=await PromptService(resources).versions(model))


@router.get("/{model:path}/versions/{version_id}")
async def get_version(
    model: str, version_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> PromptVersionObject:
    """One version with its examples."""
    return await PromptService(resources).version(model, version_id)


@router.put("/{model:path}/labels/{label}")
async def move_label(
    model: str,
    label: Annotated[str, Path(pattern=LABEL_PATTERN)],
    move: MoveLabel,
    resources: CurrentResources,
    principal: OptimizingPrincipal,
) -> LabelObject:
    """Point a label to a version; the move is written to the audit log."""
    return await PromptService(resources).move_label(model, label, move, actor=principal.name)


@router.post("/{model:path}/labels/{label}/undo")
async def undo_label_move(
    model: str,
    label: Annotated[str, Path(pattern=LABEL_PATTERN)],
    resources: CurrentResources,
    principal: OptimizingPrincipal,
    undo: UndoMove | None = None,
) -> LabelMoveObject:
    """Point a label to where it pointed before its last move, whoever made that, people or jobs."""
    return await PromptService(resources).undo_move(model, label, undo or UndoMove(), actor=principal.name)


@router.get("/{model:path}/label-moves")
async def list_label_moves(model: str, resources: CurrentResources, _: OptimizingPrincipal) -> LabelMoveList:
    """The audit log of a model's labels, newest first."""
    return LabelMoveList(data=await PromptService(resources).history(model))
