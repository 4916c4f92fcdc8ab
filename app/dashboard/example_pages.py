"""Pages of what jobs work with: query sets and example banks."""

import asyncio
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response

from app.dashboard.pages import CurrentPage, PageRoute

_ON_A_PAGE: Final = 25
_EXAMPLES: Final = 100
_BANKS: Final = 100
"""Of the newest that the form offers."""

router = APIRouter(prefix="/dashboard/data", include_in_schema=False, route_class=PageRoute)


@router.get("")
async def list_sets(page: CurrentPage, after: str | None = None, sets_after: str | None = None) -> Response:
    """Query sets and example banks, newest first."""
    async with asyncio.TaskGroup() as group:
        datasets = group.create_task(page.api.get("/v1/datasets", {"after": sets_after, "limit": _ON_A_PAGE}))
        banks = group.create_task(page.api.get("/v1/example-banks", {"after": after, "limit": _ON_A_PAGE}))
    return page.render(
        "sets.html", datasets=datasets.result(), sets_after=sets_after, banks=banks.result(), after=after
    )


@router.get("/banks/new")
async def new_bank(page: CurrentPage) -> Response:
    """The form of a new bank; a module of the page stores it, or queues the job that makes it better."""
    return page.render("new_bank.html", banks=await page.api.get("/v1/example-banks", {"limit": _BANKS}))


@router.get("/banks/{bank_id}")
async def show_bank(page: CurrentPage, bank_id: str) -> Response:
    """One bank with its examples: what was given, and what it has now."""
    bank = await page.api.get(f"/v1/example-banks/{quote(bank_id, safe='')}")
    return page.render("bank.html", bank=bank, most_examples=_EXAMPLES)
