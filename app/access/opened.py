"""What a process opens to know who may do what."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from app.access.admission import AdmissionDesk
from app.access.keyring import KeyRing
from app.access.quotas import Quotas
from app.access.rates import OwnRates, Rates
from app.access.sessions import Sessions
from app.access.usage_recorder import UsageRecorder
from app.background import BackgroundLoop
from app.outcomes import OutcomeFeed
from app.settings import Settings
from store.connections import Database
from store.repositories.keys import KeyRepository
from store.repositories.quotas import QuotaRepository
from store.repositories.usage import UsageRepository
from store.repositories.web_sessions import WebSessionRepository

if TYPE_CHECKING:
    from app.llm.limits.redis_exchange import RedisMeeting


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Keys, stored and in memory, sessions, the desk where requests are let in, and what they have used."""

    keys: KeyRepository
    ring: KeyRing
    sessions: Sessions
    desk: AdmissionDesk
    usage: UsageRepository
    recorder: UsageRecorder


@asynccontextmanager
async def open_access(
    database: Database, settings: Settings, outcomes: OutcomeFeed, meeting: "RedisMeeting | None"
) -> AsyncIterator[Access]:
    """Open it all on ``database``; what ``outcomes`` tells is recorded, rates are shared at ``meeting``."""
    keys, chosen = KeyRepository(database), settings.api_keys
    counts, usage = QuotaRepository(database), UsageRepository(database)
    quotas = Quotas(counts)
    ring = KeyRing(
        keys,
        refresh_seconds=chosen.refresh_seconds,
        offline_seconds=chosen.offline_seconds,
        touch_seconds=chosen.touch_seconds,
    )
    sessions = Sessions(WebSessionRepository(database), lasts_seconds=chosen.session_hours * 3600)
    desk = AdmissionDesk(_rates(meeting), quotas, assumed_answer=chosen.assumed_max_tokens)
    recorder = UsageRecorder(usage, counts, settings.usage)
    outcomes.listen(recorder.hear)
    settling = BackgroundLoop(
        "quotas",
        quotas.flush,
        every_seconds=chosen.settle_seconds,
        last=partial(quotas.flush, everything=True),
    )
    async with ring.in_background(), recorder.in_background(), settling:
        yield Access(keys=keys, ring=ring, sessions=sessions, desk=desk, usage=usage, recorder=recorder)


def _rates(meeting: "RedisMeeting | None") -> Rates:
    if meeting is None:
        return OwnRates()
    # Redis's library takes its time to load, which a single process should not have to wait for
    from app.access.shared_rates import SharedRates  # noqa: PLC0415

    return SharedRates(meeting.redis, prefix=meeting.prefix)
