"""Quotas of several processes on one store: never passed, and nobody is refused who is alone."""

import asyncio
import datetime as dt
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from app.access.key_limits import KeyLimits, Period, Quota
from app.access.quotas import QuotaExceededError, QuotaReservation, Quotas, span_of
from store.connections import Database
from store.errors import StoreUnavailableError
from store.records.usage import Amounts, QuotaDraw, QuotaRefusal, QuotaWindow
from store.repositories.quotas import QuotaRepository, _granted
from tests.app.access.clock import Clock

START = 1_790_000_000.0
LIMITS = KeyLimits(
    quotas=(Quota(period=Period.HOUR, requests=40, tokens=1000), Quota(period=Period.TOTAL, cost=0.002))
)


class QuotasInMemory(QuotaRepository):
    """The store's counting without a database; it can be away."""

    def __init__(self) -> None:
        self.uses: dict[QuotaWindow, Amounts] = {}
        self.draws = 0
        self.away = False

    @override
    async def now(self) -> float:
        return START

    @override
    async def draw(self, draws: Sequence[QuotaDraw]) -> tuple[Amounts, ...] | QuotaRefusal:
        self.draws += 1
        if self.away:
            raise StoreUnavailableError("gone")
        await asyncio.sleep(0)
        taken = []
        for draw in draws:
            found = _granted(draw.limits, self.uses.get(draw.window, Amounts()), draw.need, draw.wish)
            if isinstance(found, str):
                return QuotaRefusal(window=draw.window, of=found)
            taken.append(found)
        for draw, amounts in zip(draws, taken, strict=True):
            self.uses[draw.window] = self.uses.get(draw.window, Amounts()) + amounts
        return tuple(taken)

    @override
    async def give_back(self, returns: Sequence[tuple[QuotaWindow, Amounts]]) -> None:
        if self.away:
            raise StoreUnavailableError("gone")
        for window, amounts in returns:
            self.uses[window] = self.uses.get(window, Amounts()) - amounts


def requests(limit: int) -> KeyLimits:
    return KeyLimits(quotas=(Quota(period=Period.HOUR, requests=limit),))


ONE = Amounts(requests=1)
NEED = Amounts(requests=1, tokens=100, micros=150)
STEP = st.tuples(st.sampled_from(["reserve", "settle", "settle", "flush", "kill"]), st.integers(0, 2))


@given(steps=st.lists(STEP, max_size=60), used=st.lists(st.integers(0, 100), min_size=60, max_size=60))
def test_no_quota_is_ever_passed_by_any_number_of_processes(
    steps: list[tuple[str, int]], used: list[int]
) -> None:
    async def run() -> None:
        store, clock = QuotasInMemory(), Clock()
        processes = [Quotas(store, clock=clock) for _ in range(3)]
        open_ones: list[list[QuotaReservation]] = [[], [], []]
        spent = Amounts()
        for (what, place), share in zip(steps, used, strict=False):
            if what == "reserve":
                try:
                    open_ones[place].append(await processes[place].reserve(1, LIMITS, NEED))
                except QuotaExceededError:
                    continue
            elif what == "settle" and open_ones[place]:
                actual = Amounts(requests=1, tokens=share, micros=share)
                processes[place].settle(open_ones[place].pop(), actual)
                spent += actual
            elif what == "flush":
                await processes[place].flush()
            elif what == "kill":
                # what its requests have really used by then, the store never hears of: it holds all they took
                for reservation in open_ones[place]:
                    spent += reservation.amounts
                open_ones[place] = []
                processes[place] = Quotas(store, clock=clock)
            reserved = sum((item.amounts for items in open_ones for item in items), Amounts())
            assert (spent + reserved).requests <= 40
            assert (spent + reserved).tokens <= 1000
            assert (spent + reserved).micros <= 2000

    asyncio.run(run())


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=60))
def test_a_process_alone_is_refused_only_where_nothing_is_left(steps: list[tuple[bool, int]]) -> None:
    async def run() -> None:
        quotas = Quotas(QuotasInMemory(), clock=Clock())
        open_ones: list[QuotaReservation] = []
        spent = Amounts()
        for reserves, share in steps:
            taken = sum((item.amounts for item in open_ones), spent)
            after = taken + NEED
            fits = after.requests <= 40 and after.tokens <= 1000 and after.micros <= 2000
            if reserves:
                try:
                    open_ones.append(await quotas.reserve(1, LIMITS, NEED))
                except QuotaExceededError:
                    assert not fits
                else:
                    assert fits
            elif open_ones:
                actual = Amounts(requests=1, tokens=share, micros=share)
                quotas.settle(open_ones.pop(), actual)
                spent += actual

    asyncio.run(run())


async def test_many_requests_at_once_share_what_there_is_on_a_real_database(database: Database) -> None:
    store = QuotaRepository(database)
    processes = [Quotas(store) for _ in range(3)]

    async def ask(place: int) -> bool:
        try:
            await processes[place % 3].reserve(1, requests(50), ONE)
        except QuotaExceededError:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(place)) for place in range(120)]
    passed = sum(task.result() for task in tasks)
    assert passed <= 50
    for quotas in processes:
        await quotas.flush(everything=True)
    while passed < 50:
        assert await ask(0)
        passed += 1
    assert not await ask(0)


async def test_most_requests_touch_no_database() -> None:
    store = QuotasInMemory()
    quotas = Quotas(store, clock=Clock())
    for _ in range(1000):
        quotas.settle(await quotas.reserve(1, requests(100_000), ONE), ONE)
    assert store.draws <= 1000 / 32 + 1


async def test_what_is_idle_is_given_back_and_what_was_overdrawn_is_told() -> None:
    store = QuotasInMemory()
    quotas = Quotas(store, clock=Clock())
    reservation = await quotas.reserve(1, requests(10_000), ONE)
    (window,) = reservation.windows
    assert store.uses[window].requests == 32
    await quotas.flush()
    assert store.uses[window].requests == 32  # it was used just now, and may be needed again
    await quotas.flush()
    assert store.uses[window].requests == 1
    quotas.settle(reservation, Amounts(requests=3))
    await quotas.flush()
    assert store.uses[window].requests == 3


async def test_an_overdraft_counts_at_the_next_request() -> None:
    quotas = Quotas(QuotasInMemory(), clock=Clock())
    limits = KeyLimits(quotas=(Quota(period=Period.DAY, tokens=1000),))
    reservation = await quotas.reserve(1, limits, Amounts(requests=1, tokens=10))
    quotas.settle(reservation, Amounts(requests=1, tokens=5000))
    with pytest.raises(QuotaExceededError) as caught:
        await quotas.reserve(1, limits, Amounts(requests=1, tokens=10))
    assert caught.value.of == "tokens"


async def test_a_new_period_starts_anew_and_late_ones_are_settled_in_theirs() -> None:
    store, clock = QuotasInMemory(), Clock()
    quotas = Quotas(store, clock=clock)
    late = await quotas.reserve(1, requests(2), ONE)
    await quotas.reserve(1, requests(2), ONE)
    with pytest.raises(QuotaExceededError) as caught:
        await quotas.reserve(1, requests(2), ONE)
    clock.now += caught.value.ends_at - START
    fresh = await quotas.reserve(1, requests(2), ONE)
    assert fresh.windows != late.windows
    await quotas.flush()
    quotas.settle(late, Amounts())
    await quotas.flush()
    assert store.uses[late.windows[0]].requests == 1
    assert store.uses[fresh.windows[0]].requests == 1


async def test_a_period_ends_also_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 100.0
    monkeypatch.setattr("app.clocks.time.clock_gettime", lambda _: seconds)
    quotas = Quotas(QuotasInMemory())
    await quotas.reserve(1, requests(1), ONE)
    with pytest.raises(QuotaExceededError) as caught:
        await quotas.reserve(1, requests(1), ONE)
    seconds += caught.value.ends_at - START
    await quotas.reserve(1, requests(1), ONE)


async def test_an_allotment_outlives_the_database_for_a_while() -> None:
    store = QuotasInMemory()
    quotas = Quotas(store, clock=Clock())
    await quotas.reserve(1, requests(10_000), ONE)
    store.away = True
    for _ in range(31):
        await quotas.reserve(1, requests(10_000), ONE)
    with pytest.raises(StoreUnavailableError):
        await quotas.reserve(1, requests(10_000), ONE)


async def test_where_nobody_knows_what_was_committed_a_quota_errs_towards_less() -> None:
    store = QuotasInMemory()
    quotas = Quotas(store, clock=Clock())
    spared, overdrawn = (
        QuotaReservation(amounts=ONE, windows=(QuotaWindow(key_number=number, period="x", starts_at=1),))
        for number in (1, 2)
    )
    quotas.settle(spared, Amounts())
    quotas.settle(overdrawn, Amounts(requests=3))
    store.away = True
    with pytest.raises(StoreUnavailableError):
        await quotas.flush()
    store.away = False
    await quotas.flush()
    assert {window.key_number: used.requests for window, used in store.uses.items()} == {2: 2}


async def test_a_key_without_quotas_asks_nobody() -> None:
    store = QuotasInMemory()
    store.away = True
    assert (await Quotas(store).reserve(1, KeyLimits(), NEED)).windows == ()
    assert store.draws == 0


@pytest.mark.parametrize(
    ("period", "start", "seconds"),
    [
        (Period.HOUR, dt.datetime(2028, 2, 29, 13, tzinfo=dt.UTC), 3600),
        (Period.DAY, dt.datetime(2028, 2, 29, tzinfo=dt.UTC), 86_400),
        (Period.MONTH, dt.datetime(2028, 2, 1, tzinfo=dt.UTC), 29 * 86_400),
    ],
)
def test_periods_are_those_of_the_calendar(period: Period, start: dt.datetime, seconds: int) -> None:
    moment = dt.datetime(2028, 2, 29, 13, 45, 12, 5, tzinfo=dt.UTC).timestamp()
    assert span_of(period, moment) == (start.timestamp(), start.timestamp() + seconds)
    assert span_of(Period.TOTAL, moment) == (0, math.inf)
