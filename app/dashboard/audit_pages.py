"""The page of the audit log."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from app.dashboard.pages import CurrentPage, PageRoute

_KINDS: Final = ("label", "version", "release", "key")
_ON_A_PAGE: Final = 50

router = APIRouter(prefix="/dashboard/audit-log", include_in_schema=False, route_class=PageRoute)


@router.get("")
async def show_audit_log(
    page: CurrentPage, kind: str = "", model: str = "", after: str | None = None
) -> Response:
    """Who has moved labels, changed releases and keys and stored versions: newest first."""
    entries = await page.api.get(
        "/v1/audit-log",
        {"kind": kind or None, "model": model or None, "after": after, "limit": _ON_A_PAGE},
    )
    return page.render("audit_log.html", entries=entries, kinds=_KINDS, kind=kind, model=model, after=after)
