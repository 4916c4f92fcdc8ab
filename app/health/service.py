"""Whether this process can serve. Backends don't count: one that is down must not take the others along."""

import asyncio

from app.health.schemas import Checks, Readiness
from store.connections import Database
from store.errors import StoreError
from store.schema import schema_state

_PATIENCE_SECONDS = 2.0


async def check_readiness(database: Database) -> Readiness:
    """Look at the database; one that hangs counts as unreachable."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            state = await schema_state(database)
    except (StoreError, TimeoutError):
        return Readiness(status="unavailable", checks=Checks(database="unreachable", schema="unknown"))
    if not state.fits:
        return Readiness(status="unavailable", checks=Checks(database="ok", schema="outdated"))
    return Readiness(status="ok", checks=Checks(database="ok", schema="ok"))
