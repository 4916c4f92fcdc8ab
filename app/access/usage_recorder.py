"""What served requests use, on its way to the store: in batches, in bounded memory, beside the requests.

Sums are kept until they are written: they grow with keys and models, not with requests. Rows of single
requests wait in a queue, those that are just being written among them; where that is full they are dropped
and counted.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from app.access_settings import UsageSettings
from app.background import BackgroundLoop
from app.outcomes import Outcome
from store.errors import StoreUnavailableError
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
        self._sums: dict[tuple[int, int, RouteRecord], UsageSums] = {}
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
        key = (int(now // _SUMS_SPAN), outcome.key_number, _route(outcome))
        self._sums[key] = self._sums.get(key, UsageSums()) + _sums(outcome)
        if self._settings.keep_days <= 0:
            return
        if len(self._rows) + self._being_written < self._settings.queue_size:
            self._rows.append((now, outcome))
        else:
            self.dropped += 1

    async def flush(self) -> None:
        """Write what was heard.

        Raises:
            StoreUnavailableError: the database is away; it is written the next time.
        """
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
                [
                    UsageDelta(
                        age_seconds=max(0.0, now - (span + 0.5) * _SUMS_SPAN),
                        key_number=key_number,
                        route=route,
                        sums=sums_of,
                    )
                    for (span, key_number, route), sums_of in sums.items()
                ],
            )
        except StoreUnavailableError:
            self._rows = rows + self._rows
            for key, sums_of in sums.items():
                self._sums[key] = self._sums.get(key, UsageSums()) + sums_of
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


def _route(outcome: Outcome) -> RouteRecord:
    return RouteRecord(
        endpoint=outcome.endpoint,
        model=outcome.model,
        backend=outcome.backend,
        upstream_model=outcome.upstream_model[:_TEXT],
        version_id=outcome.version_id or "",
    )


def _record(outcome: Outcome, age: float) -> RequestRecord:
    first = outcome.first_seconds
    return RequestRecord(
        age_seconds=age,
        request_id=outcome.request_id,
        route=_route(outcome),
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


def _sums(outcome: Outcome) -> UsageSums:
    return UsageSums(
        requests=1,
        failed=outcome.ending == "failed",
        client_left=outcome.ending == "client_left",
        estimated=outcome.estimated,
        prompt_tokens=outcome.counted.prompt_tokens,
        completion_tokens=outcome.counted.completion_tokens,
        micros=outcome.micros,
    )
