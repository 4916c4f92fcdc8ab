"""Pages of prompt versions and labels."""

import asyncio
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from app.dashboard.pages import CurrentPage, PageRoute
from app.dashboard.side_by_side import Line, Piece, side_by_side
from optimizer.types import JsonObject

FORMATS: Final = {
    "bundle": "Bundle (JSON)",
    "openai": "OpenAI messages",
    "dspy": "DSPy predictor",
    "promptfoo": "promptfoo",
}
_ON_A_PAGE: Final = 25
_LABELS: Final = 100
_EXAMPLES: Final = 100

router = APIRouter(prefix="/dashboard/prompts", include_in_schema=False, route_class=PageRoute)


class Label(BaseModel):
    """Where a label points."""

    label: str
    version: str


class Labels(BaseModel):
    """A model's labels."""

    data: list[Label]


class PromptDiff(BaseModel):
    """What two versions differ in; what is shown as it comes stays JSON."""

    model_config = ConfigDict(populate_by_name=True)

    before: JsonObject = Field(alias="from")
    after: JsonObject = Field(alias="to")
    same: bool
    words: list[Piece]
    lines: list[Line]
    examples: JsonObject
    settings: list[JsonObject]


@router.get("")
async def list_models(page: CurrentPage) -> Response:
    """All models with the version that each is answered with."""
    return page.render("prompts.html", served=await page.api.get("/v1/prompts"))


@router.get("/{model:path}/versions")
async def list_versions(
    page: CurrentPage, model: str, before: int | None = None, moves_before: int | None = None
) -> Response:
    """A model's labels, its versions and the moves of its labels, newest first."""
    async with asyncio.TaskGroup() as group:
        versions = group.create_task(
            page.api.get(f"{_of(model)}/versions", {"before": before, "limit": _ON_A_PAGE})
        )
        labels = group.create_task(page.api.get(f"{_of(model)}/labels", {"limit": _LABELS}))
        moves = group.create_task(
            page.api.get(f"{_of(model)}/label-moves", {"before": moves_before, "limit": _ON_A_PAGE})
        )
    return page.render(
        "prompt_versions.html",
        model=model,
        versions=versions.result(),
        before=before,
        labels=labels.result(),
        moves=moves.result(),
        moves_before=moves_before,
    )


@router.get("/{model:path}/versions/{version_id}")
async def show_version(page: CurrentPage, model: str, version_id: str) -> Response:
    """One version: what it is, where it comes from, and which labels point to it."""
    async with asyncio.TaskGroup() as group:
        version = group.create_task(page.api.get(f"{_of(model)}/versions/{quote(version_id, safe='')}"))
        labels = group.create_task(page.api.read(f"{_of(model)}/labels", Labels))
    return page.render(
        "prompt_version.html",
        model=model,
        shown=version.result(),
        labels={item.label: item.version for item in labels.result().data},
        formats=FORMATS,
        most_examples=_EXAMPLES,
    )


@router.get("/{model:path}/diff")
async def compare_versions(
    page: CurrentPage, model: str, before: str = "production", after: str = "production"
) -> Response:
    """Two versions beside each other."""
    diff = await page.api.read(f"{_of(model)}/diff", PromptDiff, {"from": before, "to": after})
    return page.render(
        "prompt_diff.html",
        model=model,
        diff=diff,
        rows=side_by_side(diff.words, diff.lines),
        most_examples=_EXAMPLES,
    )


@router.get("/{model:path}/new")
async def new_version(page: CurrentPage, model: str) -> Response:
    """The forms that import a version or take one written by hand."""
    await page.api.get(f"{_of(model)}/versions", {"limit": 1})  # refused where there is no such model
    return page.render("prompt_new.html", model=model, formats=FORMATS)


def _of(model: str) -> str:
    return f"/v1/prompts/{quote(model, safe='/')}"
