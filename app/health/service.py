"""Whether this process can serve. Backends don't count: one that is down must not take the others along."""

import asyncio
from typing import Protocol

from app.health.schemas import Checks, LimitSharing, Readiness
from store.connections import Database
from store.errors import StoreError
from store.schema import schema_state

_PATIENCE_SECONDS = 2.0


class Meeting(Protocol):
    """Where processes share limits."""

    async def answers(self) -> bool:
        """Whether it can be reached now; within a second or so."""
        ...


async def check_readiness(database: Database, meeting: Meeting | None) -> Readiness:
    """Look at the database and at what limits are shared through; a database that hangs is unreachable."""
    readiness, limits = await _check_database(database), await _check_limits(meeting)
    return readiness.model_copy(update={"checks": readiness.checks.model_copy(update={"limits": limits})})


async def _check_database(database: Database) -> Readiness:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            state = await schema_state(database)
    except (StoreError, TimeoutError):
        return Readiness(status="unavailable", checks=Checks(database="unreachable", schema="unknown"))
    if not state.fits:
        return Readiness(status="unavailable", checks=Checks(database="ok", schema="outdated"))
    return Readiness(status="ok", checks=Checks(database="ok", schema="ok"))


async def _check_limits(meeting: Meeting | None) -> LimitSharing:
    if meeting is None:
        return "per_process"
    return "shared" if await meeting.answers() else "redis_unreachable"
