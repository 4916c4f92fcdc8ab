"""Drawing from quotas: never more than there is, and never refused while there is enough."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.connections import Database
from store.records.usage import Amounts, QuotaDraw, QuotaLimits, QuotaRefusal, QuotaWindow
from store.repositories.quotas import QuotaRepository, _granted

DAY = QuotaWindow(key_number=1, period="day", starts_at=86_400)
MONTH = QuotaWindow(key_number=1, period="month", starts_at=1)


def draw(
    need: int, wish: int | None = None, *, window: QuotaWindow = DAY, limit: int | None = 100
) -> QuotaDraw:
    return QuotaDraw(
        window=window,
        limits=QuotaLimits(requests=limit),
        need=Amounts(requests=need),
        wish=Amounts(requests=need if wish is None else wish),
    )


async def test_a_draw_takes_what_it_needs_and_a_part_of_the_rest(database: Database) -> None:
    quotas = QuotaRepository(database)
    assert await quotas.draw([draw(4, 50)]) == (Amounts(requests=10),)  # 4 and a sixteenth of 96
    assert await quotas.draw([draw(90)]) == (Amounts(requests=90),)
    assert await quotas.draw([draw(1)]) == QuotaRefusal(window=DAY, of="requests")
    assert await quotas.used(DAY) == Amounts(requests=100)


async def test_all_windows_give_or_none_does(database: Database) -> None:
    quotas = QuotaRepository(database)
    both = [draw(5), draw(5, window=MONTH, limit=4)]
    assert await quotas.draw(both) == QuotaRefusal(window=MONTH, of="requests")
    assert (await quotas.used(DAY), await quotas.used(MONTH)) == (Amounts(), Amounts())
    taken = await quotas.draw([draw(3), draw(2, window=MONTH, limit=None)])
    assert taken == (Amounts(requests=3), Amounts(requests=2))


async def test_what_is_given_back_can_be_drawn_again(database: Database) -> None:
    quotas = QuotaRepository(database)
    await quotas.draw([draw(100)])
    await quotas.give_back([(DAY, Amounts(requests=30, tokens=-5)), (MONTH, Amounts(micros=-7))])
    assert await quotas.used(DAY) == Amounts(requests=70, tokens=5)
    assert await quotas.used(MONTH) == Amounts(micros=7)
    assert await quotas.draw([draw(30)]) == (Amounts(requests=30),)


async def test_many_who_draw_at_once_get_together_what_there_is(database: Database) -> None:
    quotas = QuotaRepository(database)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(quotas.draw([draw(7), draw(7, window=MONTH)])) for _ in range(20)]
    granted = [task.result() for task in tasks]
    assert sum(not isinstance(found, QuotaRefusal) for found in granted) == 14
    assert await quotas.used(DAY) == Amounts(requests=98)


async def test_old_windows_are_forgotten_but_those_without_an_end_stay(database: Database) -> None:
    quotas = QuotaRepository(database)
    total = QuotaWindow(key_number=1, period="total", starts_at=0)
    await quotas.draw([draw(1), draw(1, window=total)])
    await quotas.delete_before(86_401)
    assert await quotas.used(DAY) == Amounts()
    assert await quotas.used(total) == Amounts(requests=1)
    assert await quotas.now() > 1.7e9


AMOUNT = st.integers(0, 1000)


@given(limit=AMOUNT, used=st.integers(-100, 1200), need=AMOUNT, wish=AMOUNT)
def test_a_grant_never_passes_the_limit_and_a_refusal_has_a_reason(
    limit: int, used: int, need: int, wish: int
) -> None:
    granted = _granted(
        QuotaLimits(tokens=limit), Amounts(tokens=used), Amounts(tokens=need), Amounts(tokens=wish)
    )
    if isinstance(granted, str):
        assert used + need > limit
        assert need > 0
    else:
        assert granted.tokens >= need
        assert need == 0 or used + granted.tokens <= limit
        assert granted.tokens <= max(need, wish)


@pytest.mark.parametrize("of", ["requests", "tokens", "micros"])
def test_each_limit_counts_for_itself(of: str) -> None:
    limits = QuotaLimits(**{of: 5})
    need = Amounts(requests=6, tokens=6, micros=6)
    assert _granted(limits, Amounts(), need, need) == of
