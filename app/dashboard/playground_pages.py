"""The page that asks several versions of a model's prompt one question."""

import asyncio
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from app.access.principal import Scope
from app.dashboard.pages import CurrentPage, Page, PageRoute

_UNALIGNED: Final = "unaligned"
_PRODUCTION: Final = "label:production"
_VERSION: Final = "version:"
_BY_NUMBER: Final = "number"
_LABELS: Final = 100
_VERSIONS: Final = 100
"""Of the newest that are offered; older ones are named by their numbers."""

router = APIRouter(prefix="/dashboard/playground", include_in_schema=False, route_class=PageRoute)


class _Version(BaseModel):
    id: str
    number: int
    labels: list[str]


class _Versions(BaseModel):
    data: list[_Version]
    has_more: bool


class _Label(BaseModel):
    label: str


class _Labels(BaseModel):
    data: list[_Label]


class _Target(BaseModel):
    model: str


class _Targets(BaseModel):
    data: list[_Target]


class _Card(BaseModel):
    id: str


class _Cards(BaseModel):
    data: list[_Card]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What may answer.

    Attributes:
        value: ``unaligned``, ``label:`` with a label, ``version:`` with an id, or ``number`` for one that the
            reader names by its number.
        title: as it is shown.
    """

    value: str
    title: str


@router.get("")
async def playground(page: CurrentPage, model: str = "", a: str = "", b: str = "", c: str = "") -> Response:
    """The form and the places of the answers; a module of ours asks and fills them."""
    may_see_versions = page.principal.may(Scope.OPTIMIZE)
    models = await _models(page, may_see_versions=may_see_versions)
    model = model or next(iter(models), "")
    choices = await _choices(page, model) if may_see_versions and model else _without_versions()
    known = {choice.value for choice in choices}
    chosen = [a or _UNALIGNED, b or _PRODUCTION, c]
    choices += [
        Choice(value=value, title=value.removeprefix(_VERSION))
        for value in dict.fromkeys(chosen)
        if value.startswith(_VERSION) and value not in known
    ]
    return page.render("playground.html", models=models, model=model, choices=choices, chosen=chosen)


async def _models(page: Page, *, may_see_versions: bool) -> list[str]:
    """Models that answer in chats; where only their list may be seen, embedding models stand there, too."""
    if may_see_versions:
        return [target.model for target in (await page.api.read("/v1/prompts", _Targets)).data]
    return [card.id for card in (await page.api.read("/v1/models", _Cards)).data]


async def _choices(page: Page, model: str) -> list[Choice]:
    path = f"/v1/prompts/{quote(model, safe='/')}"
    async with asyncio.TaskGroup() as group:
        found = group.create_task(page.api.read(f"{path}/versions", _Versions, {"limit": _VERSIONS}))
        labels = group.create_task(page.api.read(f"{path}/labels", _Labels, {"limit": _LABELS}))
    versions = found.result()
    names = [item.label for item in labels.result().data if item.label != "production"]
    older = [Choice(value=_BY_NUMBER, title="An older version, by its number")] if versions.has_more else []
    return [
        *_without_versions(),
        *(Choice(value=f"label:{name}", title=f"Label {name}") for name in names),
        *(Choice(value=f"{_VERSION}{version.id}", title=_title(version)) for version in versions.data),
        *older,
    ]


def _without_versions() -> list[Choice]:
    return [
        Choice(value=_UNALIGNED, title="The model as it is, unaligned"),
        Choice(value=_PRODUCTION, title="Production"),
    ]


def _title(version: _Version) -> str:
    labels = f" ({', '.join(version.labels)})" if version.labels else ""
    return f"Version {version.number}{labels}"
