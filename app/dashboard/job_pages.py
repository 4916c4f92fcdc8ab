"""Pages of jobs."""

import asyncio
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response

from app.dashboard.pages import CurrentPage, PageRoute
from optimizer.types import JsonObject

_STATUSES: Final = ("queued", "running", "paused", "succeeded", "failed", "cancelled")
_MOVING: Final = frozenset({"queued", "running"})
_ON_A_PAGE: Final = 25
_BANKS: Final = 100
_SETS: Final = 100
"""Of the newest that the form offers by name; older ones are named by their ids."""

router = APIRouter(prefix="/dashboard/jobs", include_in_schema=False, route_class=PageRoute)


@router.get("")
async def list_jobs(page: CurrentPage, after: str | None = None, status: str = "") -> Response:
    """All jobs that the key may see, newest first."""
    jobs = await page.api.get(
        "/v1/optimizations", {"after": after, "limit": _ON_A_PAGE, "status": status or None}
    )
    return page.render(
        "jobs.html", jobs=jobs, after=after, status=status, statuses=_STATUSES, is_moving=_any_moves(jobs)
    )


@router.get("/new")
async def new_job(page: CurrentPage) -> Response:
    """The form of a new job; a module of the page asks for its estimate, and queues it."""
    async with asyncio.TaskGroup() as group:
        models = group.create_task(page.api.get("/v1/models"))
        datasets = group.create_task(page.api.get("/v1/datasets", {"limit": _SETS}))
        banks = group.create_task(page.api.get("/v1/example-banks", {"limit": _BANKS}))
    return page.render(
        "new_job.html", models=models.result(), datasets=datasets.result(), banks=banks.result()
    )


@router.get("/{job_id}")
async def show_job(page: CurrentPage, job_id: str) -> Response:
    """One job; a module of the page follows its events."""
    return page.render("job.html", job=await page.api.get(f"/v1/optimizations/{quote(job_id, safe='')}"))


def _any_moves(jobs: JsonObject) -> bool:
    found = jobs["data"]
    return isinstance(found, list) and any(
        isinstance(job, dict) and job["status"] in _MOVING for job in found
    )
