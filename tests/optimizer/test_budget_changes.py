"""Limits that change while a run goes on."""

import asyncio

import pytest

from optimizer.budget import Budget, Limits
from optimizer.errors import BudgetExceededError
from optimizer.types import Spend
from tests.fakes.search import ManualClock
from tests.fakes.virtual_time import run_virtually


def tokens(count: int) -> Spend:
    return Spend(calls=1, prompt_tokens=count)


def test_what_waits_for_room_looks_again_when_there_is_more() -> None:
    async def run() -> None:
        budget = Budget(Limits(tokens=10), clock=ManualClock())
        first = await budget.reserve(tokens(10))
        waiting = asyncio.create_task(budget.reserve(tokens(10)))
        await asyncio.sleep(1)
        assert not waiting.done()
        budget.change(Limits(tokens=20))
        second = await waiting
        budget.change(Limits(tokens=5))
        assert budget.reserved.tokens == 20, "nothing under way is given up"
        for reservation in (first, second):
            budget.settle(reservation, tokens(10))
        with pytest.raises(BudgetExceededError):
            await budget.reserve(tokens(1))
        assert budget.exhausted(0)

    run_virtually(run())


def test_who_listens_hears_of_new_limits_until_it_leaves() -> None:
    budget, heard = Budget(Limits(), clock=ManualClock()), list[float | None]()

    def listen() -> None:
        heard.append(budget.limits.seconds)

    with budget.heard_by(listen):
        budget.change(Limits(seconds=1))
        budget.change(Limits(seconds=2))
    budget.change(Limits(seconds=3))

    assert heard == [1, 2]


def test_a_raised_budget_is_no_longer_exhausted() -> None:
    budget = Budget(Limits(calls=2), clock=ManualClock(), spent=Spend(calls=2))
    assert budget.exhausted(1)
    budget.change(Limits(calls=3))
    assert not budget.exhausted(1)
    assert budget.exhausted(2)
