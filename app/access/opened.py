"""What a process opens to know who may do what."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.access.admission import AdmissionDesk
from app.access.keyring import KeyRing
from app.access.quotas import Quotas
from app.access.rates import OwnRates
from app.access.settling import settled
from app.settings import Settings
from store.connections import Database
from store.repositories.keys import KeyRepository
from store.repositories.quotas import QuotaRepository


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Keys, stored and in memory, and the desk where requests for models are let in."""

    keys: KeyRepository
    ring: KeyRing
    desk: AdmissionDesk


@asynccontextmanager
async def open_access(database: Database, settings: Settings) -> AsyncIterator[Access]:
    """Open it all on ``database``."""
    keys, chosen = KeyRepository(database), settings.api_keys
    quotas = Quotas(QuotaRepository(database))
    ring = KeyRing(
        keys,
        refresh_seconds=chosen.refresh_seconds,
        offline_seconds=chosen.offline_seconds,
        touch_seconds=chosen.touch_seconds,
    )
    desk = AdmissionDesk(OwnRates(), quotas, assumed_answer=chosen.assumed_max_tokens)
    async with ring, settled(quotas, seconds=chosen.settle_seconds):
        yield Access(keys=keys, ring=ring, desk=desk)
