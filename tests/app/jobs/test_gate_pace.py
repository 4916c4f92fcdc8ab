"""How many held-out queries a job begins at the same time."""

import time

import pytest

from app.jobs.gate_pace import FIRST, MOST_AT_ONCE, GatePace
from optimizer.budget import Budget, Limits
from optimizer.estimate import CallRates
from optimizer.types import Spend

RATES = CallRates(rollout=2, query=1)
QUERY_CALLS = 5
"""Two contenders and a selection."""


def pace_of(**limits: float) -> tuple[Budget, GatePace]:
    budget = Budget(Limits(**limits), clock=time.monotonic, spent=Spend(calls=10, prompt_tokens=1000))  # type: ignore[arg-type]
    return budget, GatePace(budget, contenders=2, rates=RATES)


async def spend(budget: Budget, calls: int, tokens: int = 0) -> None:
    for _ in range(calls):
        estimate = Spend(calls=1, prompt_tokens=tokens)
        budget.settle(await budget.reserve(estimate), estimate)


def test_without_a_limit_all_begin_at_once() -> None:
    _, pace = pace_of()
    assert pace.may_begin(ended=0, under_way=1000)


def test_a_few_show_first_what_a_query_takes() -> None:
    _, pace = pace_of(calls=10_000)
    assert pace.may_begin(ended=0, under_way=FIRST - 1)
    assert not pace.may_begin(ended=0, under_way=FIRST)
    assert pace.may_begin(ended=1, under_way=FIRST)
    assert not pace.may_begin(ended=1, under_way=MOST_AT_ONCE)


@pytest.mark.parametrize(("each", "room"), [(QUERY_CALLS, 6), (2 * QUERY_CALLS, 3), (1, 6)])
async def test_what_the_first_ones_took_says_how_many_more_fit(each: int, room: int) -> None:
    budget, pace = pace_of(calls=10 + 2 * each + 6 * QUERY_CALLS)
    await spend(budget, 2 * each)
    assert pace.may_begin(ended=2, under_way=room - 1)
    assert not pace.may_begin(ended=2, under_way=room)


async def test_tokens_are_measured_and_the_last_call_is_reserved_in_full() -> None:
    budget, pace = pace_of(tokens=1000 + 400 + 300)
    await spend(budget, 4, tokens=100)
    assert pace.may_begin(ended=4, under_way=1)
    assert not pace.may_begin(ended=4, under_way=2)


async def test_calls_under_way_are_not_counted_twice() -> None:
    budget, pace = pace_of(calls=10 + 2 * QUERY_CALLS)
    await budget.reserve(Spend(calls=3))
    assert pace.may_begin(ended=0, under_way=1)
    assert budget.covers(Limits(calls=2 * QUERY_CALLS))
    assert not budget.has_room(Limits(calls=2 * QUERY_CALLS))


async def test_a_gate_that_is_made_again_after_a_kill_begins_as_many_as_before() -> None:
    done = Spend(calls=20, prompt_tokens=4_000)
    limits = Limits(tokens=5_000 + 1_000)
    budget = Budget(limits, clock=time.monotonic, spent=Spend(calls=30, prompt_tokens=5_000), replayable=done)
    pace = GatePace(budget, contenders=2, rates=RATES)
    for _ in range(20):
        budget.replay(Spend(calls=1, prompt_tokens=200))
    assert pace.may_begin(ended=4, under_way=0)
    assert not pace.may_begin(ended=4, under_way=1)
