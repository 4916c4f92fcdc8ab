"""What a process opens to know who may do what."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.access.admission import AdmissionDesk
from app.access.keyring import KeyRing
from app.access.quotas import Quotas
from app.access.rates import OwnRates
from app.access.settling import settled
from app.access.usage_recorder import UsageRecorder
from app.outcomes import OutcomeFeed
from app.settings import Settings
from store.connections import Database
from store.repositories.keys import KeyRepository
from store.repositories.quotas import QuotaRepository
from store.repositories.usage import UsageRepository


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Keys, stored and in memory, the desk where requests for models are let in, and what they have used."""

    keys: KeyRepository
    ring: KeyRing
    desk: AdmissionDesk
    usage: UsageRepository
    recorder: UsageRecorder


@asynccontextmanager
async def open_access(database: Database, settings: Settings, outcomes: OutcomeFeed) -> AsyncIterator[Access]:
    """Open it all on ``database``; what ``outcomes`` tells is recorded."""
    keys, chosen = KeyRepository(database), settings.api_keys
    counts, usage = QuotaRepository(database), UsageRepository(database)
    quotas = Quotas(counts)
    ring = KeyRing(
        keys,
        refresh_seconds=chosen.refresh_seconds,
        offline_seconds=chosen.offline_seconds,
        touch_seconds=chosen.touch_seconds,
    )
    desk = AdmissionDesk(OwnRates(), quotas, assumed_answer=chosen.assumed_max_tokens)
    recorder = UsageRecorder(usage, counts, settings.usage)
    outcomes.listen(recorder.hear)
    async with ring, recorder, settled(quotas, seconds=chosen.settle_seconds):
        yield Access(keys=keys, ring=ring, desk=desk, usage=usage, recorder=recorder)
