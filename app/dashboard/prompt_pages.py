"""Pages of prompt versions and labels."""

from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from app.dashboard.pages import CurrentPage, Page, PageRoute
from app.dashboard.side_by_side import Line, Piece, side_by_side
from optimizer.types import JsonObject

FORMATS: Final = {
    "bundle": "Bundle (JSON)",
    "openai": "OpenAI messages",
    "dspy": "DSPy predictor",
    "promptfoo": "promptfoo",
}
_ON_A_PAGE: Final = 25
_MOVES: Final = 50
_EXAMPLES: Final = 100

router = APIRouter(prefix="/dashboard/prompts", include_in_schema=False, route_class=PageRoute)


class LabelMove(BaseModel):
    """A line of the audit log of a model's labels."""

    id: int
    label: str
    from_version: str | None
    to_version: str | None
    actor: str
    reason: str
    at: float
    undoes: int | None


class LabelMoves(BaseModel):
    """The moves of a model's labels, newest first; the last thousand where there are more."""

    data: list[LabelMove]
    has_more: bool

    def last(self) -> dict[str, LabelMove]:
        """The last move of each label that points somewhere, by label."""
        newest: dict[str, LabelMove] = {}
        for move in self.data:
            newest.setdefault(move.label, move)
        return {label: newest[label] for label in sorted(newest) if newest[label].to_version is not None}


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
async def list_versions(page: CurrentPage, model: str, before: int | None = None) -> Response:
    """A model's labels and versions, newest first."""
    versions = await page.api.get(f"{_of(model)}/versions", {"before": before, "limit": _ON_A_PAGE})
    moves = await _moves(page, model)
    return page.render(
        "prompt_versions.html",
        model=model,
        versions=versions,
        before=before,
        labels=moves.last(),
        moves=moves.data[:_MOVES],
        all_moves=f"more than {len(moves.data)}" if moves.has_more else len(moves.data),
    )


@router.get("/{model:path}/versions/{version_id}")
async def show_version(page: CurrentPage, model: str, version_id: str) -> Response:
    """One version: what it is, where it comes from, and which labels point to it."""
    version = await page.api.get(f"{_of(model)}/versions/{quote(version_id, safe='')}")
    return page.render(
        "prompt_version.html",
        model=model,
        shown=version,
        labels=(await _moves(page, model)).last(),
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


async def _moves(page: Page, model: str) -> LabelMoves:
    return await page.api.read(f"{_of(model)}/label-moves", LabelMoves)


def _of(model: str) -> str:
    return f"/v1/prompts/{quote(model, safe='/')}"
