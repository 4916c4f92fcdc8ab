"""Thousands of random interleavings of calls under one budget: at no moment is it exceeded."""

import asyncio
import random

import pytest

from optimizer.budget import Budget, Limits, Reservation
from optimizer.errors import BudgetExceededError
from optimizer.types import Spend
from tests.fakes.virtual_time import run_virtually

INTERLEAVINGS = 2_000
CALLS, IN_FLIGHT = 80, 64


def random_limits(chance: random.Random) -> Limits:
    """Any of the four limits, alone or together."""
    return Limits(
        calls=chance.choice((None, chance.randint(0, 120))),
        tokens=chance.choice((None, chance.randint(0, 4_000))),
        cost=chance.choice((None, chance.uniform(0, 20))),
        seconds=chance.choice((None, chance.uniform(0, 30))),
    )


class Interleaving:
    """Calls of random size and length that end in every way, 64 of them at once."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.limits = random_limits(self.chance)
        self.most_in_flight = 0
        self.in_flight = 0
        self.settled = Spend()
        self.refused: set[str] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self.budget = Budget(self.limits, clock=loop.time)
        places = asyncio.Semaphore(IN_FLIGHT)
        tasks = [asyncio.create_task(self._call(places)) for _ in range(CALLS)]
        for task in self.chance.sample(tasks, 12):
            loop.call_later(self.chance.choice((0.0, 1.0, 2.0)), task.cancel)
        loop.call_later(1.5, self.budget.withhold, Limits(calls=10, tokens=300, cost=1.0, seconds=2.0))
        loop.call_later(2.5, self.budget.withhold, Limits())
        await asyncio.wait(tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)

    async def _call(self, places: asyncio.Semaphore) -> None:
        async with places:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            try:
                await self._reserve_and_settle()
            except BudgetExceededError as error:
                self.refused.add(error.limit)
            finally:
                self.in_flight -= 1

    async def _reserve_and_settle(self) -> None:
        chance = self.chance
        estimate = Spend(
            calls=1,
            prompt_tokens=chance.randint(0, 60),
            completion_tokens=chance.randint(0, 60),
            cost=chance.choice((0.0, 0.1, 0.7)),
        )
        reservation = await self.budget.reserve(estimate)
        actual = estimate
        try:
            self.check()
            await asyncio.sleep(chance.choice((0.0, 0.5, 1.0, 3.0)))
            share = chance.choice((0.0, 0.4, 1.0))
            actual = Spend(
                calls=1, prompt_tokens=int(estimate.prompt_tokens * share), cost=estimate.cost * share
            )
        finally:
            self._end(reservation, actual)
            self.check()

    def _end(self, reservation: Reservation, actual: Spend) -> None:
        if self.chance.random() < 0.1:
            self.budget.release(reservation)
            return
        self.settled = self.settled + actual
        self.budget.settle(reservation, actual)

    def check(self) -> None:
        total, limits = self.budget.spent + self.budget.reserved, self.limits
        assert limits.calls is None or total.calls <= limits.calls
        assert limits.tokens is None or total.tokens <= limits.tokens
        assert limits.cost is None or total.cost <= limits.cost + 1e-9
        assert min(self.budget.reserved.calls, self.budget.reserved.tokens) >= 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_spent_and_reserved_are_never_over_a_limit() -> None:
    most_in_flight, refused = 0, set()
    for seed in range(INTERLEAVINGS):
        interleaving = Interleaving(seed)
        run_virtually(interleaving.run())
        assert interleaving.budget.reserved == Spend(), seed
        assert all(getattr(interleaving.limits, name) is not None for name in interleaving.refused), seed
        assert interleaving.budget.spent == interleaving.settled, seed
        most_in_flight = max(most_in_flight, interleaving.most_in_flight)
        refused.add(interleaving.budget.refused_by)
    assert most_in_flight == IN_FLIGHT
    assert refused == {None, "calls", "tokens", "cost", "seconds"}
