"""Whether this process can serve.

Backends don't count, since one that is down must not take the others along; a vLLM server that this process
has started is a part of it, and does.
"""

import asyncio
from typing import Protocol

from app.health.schemas import Checks, LimitSharing, Readiness, VllmHealth
from store.connections import Database
from store.errors import StoreError
from store.schema import schema_state

_PATIENCE_SECONDS = 2.0


class Meeting(Protocol):
    """Where processes share limits."""

    async def answers(self) -> bool:
        """Whether it can be reached now; within a second or so."""
        ...


async def check_readiness(
    database: Database, meeting: Meeting | None, vllm: VllmHealth | None = None
) -> Readiness:
    """Look at the database, at what limits are shared through, and at the state of our own vLLM server.

    A database that hangs is unreachable.
    """
    readiness, limits = await _check_database(database), await _check_limits(meeting)
    checks = readiness.checks.model_copy(update={"limits": limits, "vllm": vllm})
    status = readiness.status if vllm in {None, "ok"} else "unavailable"
    return Readiness(status=status, checks=checks)


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
