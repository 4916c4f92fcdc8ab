"""Pages of API keys."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response

from app.access.key_limits import Period
from app.access.principal import Scope
from app.dashboard.pages import CurrentPage, Page, PageRoute
from optimizer.types import JsonObject

_ON_A_PAGE: Final = 25
_SCOPES: Final = {
    Scope.SERVE: "ask models",
    Scope.OPTIMIZE: "jobs, prompts, queries",
    Scope.ADMIN: "everything",
}
_PERIODS: Final = {
    Period.HOUR: "an hour",
    Period.DAY: "a day",
    Period.MONTH: "a month",
    Period.TOTAL: "in all",
}
_NEW_KEY: Final[JsonObject] = {
    "name": "",
    "note": "",
    "scopes": ["serve"],
    "models": None,
    "limits": {"requests_per_minute": None, "tokens_per_minute": None, "quotas": []},
    "expires_at": None,
}

router = APIRouter(prefix="/dashboard/keys", include_in_schema=False, route_class=PageRoute)


@router.get("")
async def list_keys(page: CurrentPage, after: str | None = None) -> Response:
    """Keys, newest first, and the form that makes one."""
    keys = await page.api.get("/v1/keys", {"after": after, "limit": _ON_A_PAGE})
    return page.render("keys.html", keys=keys, after=after, key=_NEW_KEY, choices=await _choices(page))


@router.get("/{key_id}")
async def show_key(page: CurrentPage, key_id: str) -> Response:
    """One key: what it may do, what it has used, and what was changed by whom."""
    path = f"/v1/keys/{quote(key_id, safe='')}"
    key = await page.api.get(path)
    changes = await page.api.get(f"{path}/changes")
    usage = await page.api.get("/v1/usage", {"key_id": key_id, "group_by": "model"})
    return page.render("key.html", key=key, changes=changes, usage=usage, choices=await _choices(page))


async def _choices(page: Page) -> dict[str, object]:
    return {
        "models": await page.api.get("/v1/models"),
        "scopes": {scope.value: title for scope, title in _SCOPES.items()},
        "periods": {period.value: title for period, title in _PERIODS.items()},
        "now": datetime.now(UTC).timestamp(),
    }
