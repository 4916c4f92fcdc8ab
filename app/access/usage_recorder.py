"""What served requests use, on its way to the store: in batches, in bounded memory, beside the requests.

Sums are kept until they are written: they grow with keys and models, not with requests. Rows of single
requests wait in a queue, those that are just being written among them; where that is full they are dropped
and counted.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Final, TypeAlias

from app.access_settings import UsageSettings
from app.background import BackgroundLoop
from app.outcomes import Outcome
from store.records.usage import Ending, RequestRecord, RouteRecord, UsageDelta, UsageSums
from store.repositories.quotas import QuotaRepository
from store.repositories.usage import UsageRepository

_LOGGER = logging.getLogger(__name__)
_ENDINGS: Final = {
    "answered": Ending.ANSWERED,
    "failed": Ending.FAILED,
    "client_left": Ending.CLIENT_LEFT,
}
_DAY_SECONDS: Final = 86_400.0
_QUOTA_DAYS: Final = 70
"""Quotas of periods that ended are kept so long, a month's among them."""
_SUMS_SPAN: Final = 60.0
"""Requests within so many seconds may share a sum: a day begins for it with an error of half of it."""
_MOST: Final = 2**31 - 1
_TEXT: Final = 256
_SUMMED: Final = tuple(UsageSums.__dataclass_fields__)
_Route: TypeAlias = tuple[str, str, str, str, str]
_SumKey: TypeAlias = tuple[int, int, str, str, str, str, str]
"""The span of time, the key's number, and the route."""


class UsageRecorder:
    """Hears outcomes and stores them. Let a feed call ``hear``.

    Attributes:
        dropped: rows that were lost since the start, for want of room.
    """

    def __init__(
        self,
        usage: UsageRepository,
        quotas: QuotaRepository,
        settings: UsageSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is heard yet.

        Args:
            usage: where it is stored.
            quotas: what is cleared of old periods now and then.
            settings: how much, how often, how long.
            clock: monotonic seconds.
        """
        self.dropped = 0
        self._usage = usage
        self._quotas = quotas
        self._settings = settings
        self._clock = clock
        self._rows: list[tuple[float, Outcome]] = []
        self._being_written = 0
        self._turn = asyncio.Lock()
        self._sums: dict[_SumKey, _Sums] = {}
        self._told = 0

    @asynccontextmanager
    async def in_background(self) -> AsyncIterator[None]:
        """Write, now and then and at the end, and drop what is old, while the block runs."""
        writing = BackgroundLoop(
            "usage", self.flush, every_seconds=self._settings.flush_seconds, last=self.flush
        )
        sweeping = BackgroundLoop(
            "old usage", self.sweep, every_seconds=self._settings.sweep_seconds, waits_first=True
        )
        async with writing, sweeping:
            yield

    def hear(self, outcome: Outcome) -> None:
        """Take note of one request; nothing is waited for."""
        now = self._clock()
        key = (int(now // _SUMS_SPAN), outcome.key_number, *_route_of(outcome))
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = _Sums()
        sums.add(outcome)
        if self._settings.keep_days <= 0:
            return
        if len(self._rows) + self._being_written < self._settings.queue_size:
            self._rows.append((now, outcome))
        else:
            self.dropped += 1

    async def flush(self) -> None:
        """Write what was heard, after what is just being written.

        Raises:
            Exception: it could not be written, as where the database is away; it is written the next time.
        """
        async with self._turn:
            await self._flush()

    async def _flush(self) -> None:
        rows, self._rows = self._rows, []
        sums, self._sums = self._sums, {}
        if self.dropped > self._told:
            _LOGGER.warning("%d rows of requests were dropped: the queue is full", self.dropped - self._told)
            self._told = self.dropped
        if not sums:
            return
        now = self._clock()
        self._being_written = len(rows)
        try:
            await self._usage.add(
                [_record(outcome, now - at) for at, outcome in rows],
                [_delta(key, summed, now) for key, summed in sums.items()],
            )
        except Exception:  # a write that is cancelled is not repeated: it may have been committed
            self._rows = rows + self._rows
            for key, summed in sums.items():
                self._sums.setdefault(key, _Sums()).merge(summed)
            raise
        finally:
            self._being_written = 0

    async def sweep(self) -> None:
        """Drop rows and quotas that are too old.

        Raises:
            StoreUnavailableError: the database is away.
        """
        while await self._usage.drop_older(self._settings.keep_days * _DAY_SECONDS):
            pass
        await self._quotas.delete_before(int(await self._quotas.now() - _QUOTA_DAYS * _DAY_SECONDS))


def _route_of(outcome: Outcome) -> _Route:
    upstream_model, version = outcome.upstream_model[:_TEXT], outcome.version_id or ""
    return outcome.endpoint, outcome.model, outcome.backend, upstream_model, version


@lru_cache(maxsize=1024)
def _route(endpoint: str, model: str, backend: str, upstream_model: str, version_id: str) -> RouteRecord:
    """The record of what many rows share, which is made once."""
    return RouteRecord(
        endpoint=endpoint,
        model=model,
        backend=backend,
        upstream_model=upstream_model,
        version_id=version_id,
    )


class _Sums:
    """Sums that grow: one value for each request would be made only to be thrown away."""

    __slots__ = _SUMMED

    def __init__(self) -> None:
        self.requests = self.failed = self.client_left = self.estimated = 0
        self.prompt_tokens = self.completion_tokens = self.micros = 0

    def add(self, outcome: Outcome) -> None:
        self.requests += 1
        self.failed += outcome.ending == "failed"
        self.client_left += outcome.ending == "client_left"
        self.estimated += outcome.estimated
        self.prompt_tokens += outcome.counted.prompt_tokens
        self.completion_tokens += outcome.counted.completion_tokens
        self.micros += outcome.micros

    def merge(self, other: "_Sums") -> None:
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def value(self) -> UsageSums:
        return UsageSums(**{name: getattr(self, name) for name in _SUMMED})


def _delta(key: _SumKey, sums: _Sums, now: float) -> UsageDelta:
    span, key_number, *route = key
    return UsageDelta(
        age_seconds=max(0.0, now - (span + 0.5) * _SUMS_SPAN),
        key_number=key_number,
        route=_route(*route),
        sums=sums.value(),
    )


def _record(outcome: Outcome, age: float) -> RequestRecord:
    first = outcome.first_seconds
    return RequestRecord(
        age_seconds=age,
        request_id=outcome.request_id,
        route=_route(*_route_of(outcome)),
        key_number=outcome.key_number,
        ending=_ENDINGS[outcome.ending],
        error_code=outcome.error_code,
        streamed=outcome.streamed,
        estimated=outcome.estimated,
        prompt_tokens=min(_MOST, outcome.counted.prompt_tokens),
        completion_tokens=min(_MOST, outcome.counted.completion_tokens),
        micros=outcome.micros,
        first_ms=None if first is None else round(first * 1000),
        total_ms=round(outcome.seconds * 1000),
        attempts=outcome.attempts,
        token=None if outcome.ticket is None else outcome.ticket.token,
        drawn=None if outcome.ticket is None else outcome.ticket.drawn,
    )
