"""``/v1/prompts``. Model ids may hold slashes."""

import asyncio
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Response, status

from app.allowed_models import AllowedModels
from app.auth import OptimizingPrincipal
from app.dependencies import CurrentResources
from app.prompts.comparing import compare
from app.prompts.diff_schemas import PromptDiff
from app.prompts.exporting import export_version
from app.prompts.schemas import (
    LABEL_PATTERN,
    LabelList,
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
from app.prompts.storing import VersionStore
from app.prompts.storing_schemas import CreateVersion, ExportedPrompt, FormatName, ImportBody
from app.resources import Resources
from store.records.prompts import PromptVersionRecord

KNOWN: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "There is a version with this content already."}
}
VersionName = Annotated[str, Path(description="The id of a version, its number, or a label.")]
Compared = Annotated[str, Query(min_length=1, max_length=100)]


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
async def list_versions(
    model: str,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="Only those with lower numbers")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> PromptVersionList:
    """A model's versions, newest first, without their examples."""
    found = await PromptService(resources).versions(model, before=before, limit=limit + 1)
    return PromptVersionList(data=found[:limit], has_more=len(found) > limit)


@router.post("/{model:path}/versions", status_code=201, responses=KNOWN)
async def create_version(
    model: str,
    request: CreateVersion,
    resources: CurrentResources,
    principal: OptimizingPrincipal,
    response: Response,
) -> PromptVersionObject:
    """Store a version written by hand; where there is one with this content, it is given. No label moves."""
    PromptService(resources).check_target(model)
    stored = await VersionStore(resources).write(model, request, actor=principal.name)
    return await _show_stored(stored, resources, response)


@router.post("/{model:path}/import", status_code=201, responses=KNOWN)
async def import_version(
    model: str,
    request: ImportBody,
    resources: CurrentResources,
    principal: OptimizingPrincipal,
    response: Response,
) -> PromptVersionObject:
    """Store what was exported here or elsewhere, or what other programs keep. No label moves."""
    PromptService(resources).check_target(model)
    stored = await VersionStore(resources).take_over(model, request, actor=principal.name)
    return await _show_stored(stored, resources, response)


@router.get("/{model:path}/diff")
async def diff_versions(
    model: str,
    before: Annotated[
        Compared, Query(alias="from", description="The id of a version, its number, or a label")
    ],
    after: Annotated[Compared, Query(alias="to", description="Another one")],
    resources: CurrentResources,
    _: OptimizingPrincipal,
) -> PromptDiff:
    """What two versions differ in: words and lines of the system prompt, examples, sampling."""
    service = PromptService(resources)
    old, new = await service.version(model, before), await service.version(model, after)
    return await asyncio.to_thread(compare, old, new)


@router.get("/{model:path}/versions/{version_id}")
async def get_version(
    model: str, version_id: VersionName, resources: CurrentResources, _: OptimizingPrincipal
) -> PromptVersionObject:
    """One version with its examples."""
    return await PromptService(resources).version(model, version_id)


@router.get("/{model:path}/versions/{version_id}/export")
async def export(
    model: str,
    version_id: VersionName,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    wanted: Annotated[FormatName, Query(alias="format")] = "bundle",
    examples: Annotated[
        Literal["shown", "all"],
        Query(description="In formats without retrieval: the first k examples of the bank, or all"),
    ] = "shown",
) -> ExportedPrompt:
    """One version as a bundle, as OpenAI messages, as the state of a DSPy predictor, or for promptfoo."""
    version = await PromptService(resources).version(model, version_id)
    return export_version(version, wanted, every_example=examples == "all")


@router.get("/{model:path}/labels")
async def list_labels(
    model: str,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    after: Annotated[
        str | None, Query(max_length=64, description="Only those after this one, by name")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> LabelList:
    """Where a model's labels point now, and the last move of each."""
    found = await PromptService(resources).labels(model, after=after, limit=limit + 1)
    return LabelList(data=found[:limit], has_more=len(found) > limit)


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
async def list_label_moves(
    model: str,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="Only those with lower ids")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> LabelMoveList:
    """The audit log of a model's labels, newest first."""
    found = await PromptService(resources).history(model, before=before, limit=limit + 1)
    return LabelMoveList(data=found[:limit], has_more=len(found) > limit)


async def _show_stored(
    stored: tuple[PromptVersionRecord, bool], resources: Resources, response: Response
) -> PromptVersionObject:
    version, is_new = stored
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    return await PromptService(resources).shown(version)
