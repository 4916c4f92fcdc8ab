"""What a budget says of its room, to those who ask before they reserve."""

from optimizer.budget import Budget, Limits
from optimizer.types import Spend
from tests.fakes.search import ManualClock

ONE_CALL = Spend(calls=1)


def budget_of(limits: Limits) -> Budget:
    return Budget(limits, clock=ManualClock())


def tokens(count: int) -> Spend:
    return Spend(calls=1, prompt_tokens=count)


async def test_room_is_what_no_limit_stands_in_the_way_of() -> None:
    budget = budget_of(Limits(calls=2, tokens=100, cost=1.0, seconds=5))
    budget.settle(await budget.reserve(tokens(60)), tokens(60))
    assert budget.has_room(Limits())
    assert budget.has_room(Limits(calls=1, tokens=40, cost=1.0, seconds=5))
    for need in (Limits(calls=2), Limits(tokens=41), Limits(cost=1.1), Limits(seconds=6)):
        assert not budget.has_room(need)
    assert budget_of(Limits()).has_room(Limits(calls=10**9, tokens=10**9, cost=1e9, seconds=1e9))
    assert budget.largest == Spend(prompt_tokens=60)


async def test_what_calls_under_way_reserve_is_no_hindrance_where_it_is_part_of_the_need() -> None:
    budget = budget_of(Limits(calls=2))
    await budget.reserve(ONE_CALL)
    assert budget.covers(Limits(calls=2))
    assert not budget.covers(Limits(calls=3))
    assert not budget.has_room(Limits(calls=2))


async def test_a_call_fits_beside_those_under_way_or_may_later_or_never() -> None:
    budget = budget_of(Limits(tokens=100))
    assert budget.fits(tokens(100))
    budget.settle(await budget.reserve(tokens(40)), tokens(40))
    under_way = await budget.reserve(tokens(40))
    assert [budget.fits(tokens(size)) for size in (20, 60, 61)] == [True, False, False]
    assert [budget.must_wait(tokens(size)) for size in (20, 60, 61)] == [False, True, False]
    budget.settle(under_way, tokens(10))
    assert budget.fits(tokens(50))
