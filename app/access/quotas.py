"""Quotas of keys, held at every moment: drawn in advance, spent from memory, and the rest given back.

A process draws an allotment in one transaction and serves many requests from it. So a request rarely waits
for the database, and together all processes never pass a quota: what is not drawn cannot be spent, and what
a killed process had drawn counts as used.
"""

import asyncio
import calendar
import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from app.access.key_limits import KeyLimits, Period, Quota
from app.clocks import awake_or_asleep
from store.errors import StoreUnavailableError
from store.records.usage import Amounts, QuotaDraw, QuotaLimits, QuotaRefusal, QuotaWindow
from store.repositories.quotas import QuotaRepository

_REQUESTS_A_DRAW: Final = 32
"""A draw wishes for as many requests like the one that needs it."""
MICROS: Final = 1_000_000
_NAMES: Final = ("requests", "tokens", "micros")


class QuotaExceededError(Exception):
    """A quota has not enough left.

    Attributes:
        quota: which one.
        of: ``requests``, ``tokens`` or ``micros``.
        ends_at: when its period ends, in seconds since 1970; infinite where it does not.
    """

    def __init__(self, quota: Quota, of: str, ends_at: float) -> None:
        super().__init__(f"the quota of {of} a {quota.period.value} is used up")
        self.quota = quota
        self.of = of
        self.ends_at = ends_at


@dataclass(slots=True)
class _Allotment:
    """What this process may still spend in a window; below zero where more was spent than drawn."""

    ends_at: float
    free: Amounts = field(default_factory=Amounts)
    idle: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaReservation:
    """What a request has taken until it is settled: the same amounts from each window."""

    amounts: Amounts
    windows: tuple[QuotaWindow, ...]


class Quotas:
    """The quotas of all keys, as far as this process spends from them."""

    def __init__(self, quotas: QuotaRepository, *, clock: Callable[[], float] = awake_or_asleep) -> None:
        """Nothing is drawn yet.

        Args:
            quotas: where quotas are counted.
            clock: monotonic seconds that go on while the machine sleeps: periods and expiries do, too.
        """
        self._quotas = quotas
        self._clock = clock
        self._allotments: dict[QuotaWindow, _Allotment] = {}
        self._returns: dict[QuotaWindow, Amounts] = {}
        self._turns: dict[int, asyncio.Lock] = {}
        self._offset: float | None = None

    async def reserve(self, key_number: int, limits: KeyLimits, need: Amounts) -> QuotaReservation:
        """Take ``need`` from all quotas of a key, or nothing from any.

        Raises:
            QuotaExceededError: one has not enough left.
            StoreUnavailableError: more has to be drawn, and the database is away.
        """
        if not limits.quotas:
            return QuotaReservation(amounts=need, windows=())
        now = await self._now()
        windows = {_window(key_number, quota, now): quota for quota in limits.quotas}
        reserved = QuotaReservation(amounts=need, windows=tuple(windows))
        if self._take(windows, need):
            return reserved
        async with self._turns.setdefault(key_number, asyncio.Lock()):
            while not self._take(windows, need):
                await self._draw(windows, need, now)
        return reserved

    def settle(self, reservation: QuotaReservation, used: Amounts) -> None:
        """Put back what a request has not used; what it has used beyond its reservation counts as well."""
        rest = reservation.amounts - used
        for window in reservation.windows:
            allotment = self._allotments.get(window)
            if allotment is None:
                self._returns[window] = self._returns.get(window, Amounts()) + rest
            else:
                allotment.free += rest

    async def flush(self, *, everything: bool = False) -> None:
        """Give back what was not needed since the last time, and report what was spent beyond allotments.

        Args:
            everything: also what may be needed soon.

        Raises:
            StoreUnavailableError: the database is away. Nobody knows what it has done: what was overspent is
                told again, and what was to be given back counts as used.
        """
        now = self._clock() + (self._offset or 0.0)
        for window, allotment in list(self._allotments.items()):
            has_ended = allotment.ends_at <= now
            given = allotment.free if everything or has_ended or allotment.idle else _debt(allotment.free)
            allotment.idle = True
            allotment.free -= given
            self._returns[window] = self._returns.get(window, Amounts()) + given
            if allotment.free == Amounts() or has_ended:
                del self._allotments[window]
        returns, self._returns = self._returns, {}
        due = [(window, amounts) for window, amounts in returns.items() if amounts != Amounts()]
        if not due:
            return
        try:
            await self._quotas.give_back(due)
        except StoreUnavailableError:
            for window, amounts in due:
                self._returns[window] = self._returns.get(window, Amounts()) + _debt(amounts)
            raise

    def _take(self, windows: Mapping[QuotaWindow, Quota], need: Amounts) -> bool:
        held = [self._allotments.get(window) for window in windows]
        for allotment, quota in zip(held, windows.values(), strict=True):
            if allotment is None or any(_lacking(allotment.free, need, quota).values()):
                return False
        for allotment in held:
            if allotment is not None:
                allotment.free -= need
                allotment.idle = False
        return True

    async def _draw(self, windows: Mapping[QuotaWindow, Quota], need: Amounts, now: float) -> None:
        draws = []
        for window, quota in windows.items():
            free = self._free(window)
            lacking = Amounts(**_lacking(free, need, quota))
            wish = {
                name: getattr(lacking, name) and getattr(need, name) * _REQUESTS_A_DRAW for name in _NAMES
            }
            draws.append(QuotaDraw(window=window, limits=_limits(quota), need=lacking, wish=Amounts(**wish)))
        drawn = await self._quotas.draw(draws)
        if isinstance(drawn, QuotaRefusal):
            quota = windows[drawn.window]
            raise QuotaExceededError(quota, drawn.of, span_of(quota.period, now)[1])
        for window, amounts in zip(windows, drawn, strict=True):
            allotment = self._allotments.setdefault(
                window, _Allotment(ends_at=span_of(windows[window].period, now)[1])
            )
            allotment.free += amounts

    def _free(self, window: QuotaWindow) -> Amounts:
        allotment = self._allotments.get(window)
        return Amounts() if allotment is None else allotment.free

    async def _now(self) -> float:
        """The database's clock, which all processes share; read once, since only periods hang on it."""
        if self._offset is None:
            self._offset = await self._quotas.now() - self._clock()
        return self._clock() + self._offset


def _lacking(free: Amounts, need: Amounts, quota: Quota) -> dict[str, int]:
    """What ``free`` has too little of; what the quota does not limit is never lacking."""
    limits = _limits(quota)
    return {
        name: 0 if getattr(limits, name) is None else max(0, getattr(need, name) - getattr(free, name))
        for name in _NAMES
    }


def _debt(free: Amounts) -> Amounts:
    return Amounts(**{name: min(0, getattr(free, name)) for name in _NAMES})


def _limits(quota: Quota) -> QuotaLimits:
    micros = None if quota.cost is None else math.floor(quota.cost * MICROS)
    return QuotaLimits(requests=quota.requests, tokens=quota.tokens, micros=micros)


def _window(key_number: int, quota: Quota, now: float) -> QuotaWindow:
    start, _ = span_of(quota.period, now)
    return QuotaWindow(key_number=key_number, period=quota.period.value, starts_at=start)


def span_of(period: Period, now: float) -> tuple[int, float]:
    """When the period that ``now`` lies in has begun and will end, in seconds since 1970.

    What never starts again has begun at 0 and ends at infinity.
    """
    hour = dt.datetime.fromtimestamp(now, dt.UTC).replace(minute=0, second=0, microsecond=0)
    match period:
        case Period.HOUR:
            return _span(hour, dt.timedelta(hours=1))
        case Period.DAY:
            return _span(hour.replace(hour=0), dt.timedelta(days=1))
        case Period.MONTH:
            first = hour.replace(day=1, hour=0)
            return _span(first, dt.timedelta(days=calendar.monthrange(first.year, first.month)[1]))
        case Period.TOTAL:
            return 0, math.inf


def _span(start: dt.datetime, length: dt.timedelta) -> tuple[int, float]:
    return int(start.timestamp()), (start + length).timestamp()
