"""What a process opens to know who may do what."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.access.keyring import KeyRing
from app.settings import Settings
from store.connections import Database
from store.repositories.keys import KeyRepository


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Keys, stored and in memory."""

    keys: KeyRepository
    ring: KeyRing


@asynccontextmanager
async def open_access(database: Database, settings: Settings) -> AsyncIterator[Access]:
    """Open it all on ``database``."""
    keys, chosen = KeyRepository(database), settings.api_keys
    async with KeyRing(
        keys,
        refresh_seconds=chosen.refresh_seconds,
        offline_seconds=chosen.offline_seconds,
        touch_seconds=chosen.touch_seconds,
    ) as ring:
        yield Access(keys=keys, ring=ring)
