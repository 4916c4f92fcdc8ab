import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.budget import Budget, Limits, Reservation
from optimizer.errors import BudgetExceededError
from optimizer.types import Spend
from tests.fakes.search import ManualClock
from tests.fakes.virtual_time import run_virtually

ONE_CALL = Spend(calls=1)


def make_budget(limits: Limits, *, spent: Spend | None = None, replayable: Spend | None = None) -> Budget:
    return Budget(limits, clock=ManualClock(), spent=spent or Spend(), replayable=replayable or Spend())


def tokens(count: int) -> Spend:
    return Spend(calls=1, prompt_tokens=count // 2, completion_tokens=count - count // 2)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One call: when it wants room, for what, how long it lasts, and how it ends."""

    start: float
    estimate: Spend
    duration: float
    share: float
    ending: str
    cancelled_after: float | None


amounts = st.integers(0, 40)
jobs = st.builds(
    Job,
    start=st.sampled_from([0.0, 0.0, 1.0, 2.0, 5.0]),
    estimate=st.builds(
        Spend,
        calls=st.just(1),
        prompt_tokens=amounts,
        completion_tokens=amounts,
        cost=st.sampled_from([0.0, 0.1, 0.2, 0.7, 1.3]),
    ),
    duration=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    ending=st.sampled_from(["settle", "settle", "settle", "release"]),
    cancelled_after=st.none() | st.sampled_from([0.0, 0.5, 1.0, 4.0]),
)
limits = st.builds(
    Limits,
    calls=st.none() | st.integers(0, 8),
    tokens=st.none() | st.integers(0, 150),
    cost=st.none() | st.sampled_from([0.0, 0.3, 1.0, 2.5]),
)


def assert_within(budget: Budget) -> None:
    total = budget.spent + budget.reserved
    assert budget.limits.calls is None or total.calls <= budget.limits.calls
    assert budget.limits.tokens is None or total.tokens <= budget.limits.tokens
    assert budget.limits.cost is None or total.cost <= budget.limits.cost + 1e-9
    assert min(budget.reserved.calls, budget.reserved.prompt_tokens) >= 0


class Calls:
    """Jobs that run against one budget, which is checked at every change."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.settled: list[Spend] = []
        self.refused_by: set[str] = set()

    async def run(self, work: list[Job]) -> None:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(self._call(job)) for job in work]
        for task, job in zip(tasks, work, strict=True):
            if job.cancelled_after is not None:
                loop.call_later(job.cancelled_after, task.cancel)
        if tasks:
            await asyncio.wait(tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)

    async def _call(self, job: Job) -> None:
        await asyncio.sleep(job.start)
        try:
            reservation = await self.budget.reserve(job.estimate)
        except BudgetExceededError as error:
            self.refused_by.add(error.limit)
            return
        assert_within(self.budget)
        ending = "release"
        try:
            await asyncio.sleep(job.duration)
            ending = job.ending
        finally:
            self._finish(reservation, job, ending)
            assert_within(self.budget)

    def _finish(self, reservation: Reservation, job: Job, ending: str) -> None:
        if ending == "release":
            self.budget.release(reservation)
            return
        actual = Spend(
            calls=1,
            prompt_tokens=int(job.estimate.prompt_tokens * job.share),
            completion_tokens=int(job.estimate.completion_tokens * job.share),
            cost=job.estimate.cost * job.share,
        )
        self.settled.append(actual)
        self.budget.settle(reservation, actual)


class TestUnderConcurrency:
    @settings(max_examples=200)
    @given(limits=limits, work=st.lists(jobs, max_size=14))
    def test_spent_and_reserved_never_exceed_a_limit_and_nothing_deadlocks(
        self, limits: Limits, work: list[Job]
    ) -> None:
        calls = Calls(make_budget(limits))
        run_virtually(calls.run(work))
        assert calls.budget.reserved == Spend(), "all room was given back, to the last crumb"
        assert calls.budget.spent == sum(calls.settled, Spend())
        assert all(getattr(limits, name) is not None for name in calls.refused_by)

    async def test_a_call_waits_for_one_under_way_that_may_turn_out_cheaper(self) -> None:
        budget = make_budget(Limits(tokens=100))
        first = await budget.reserve(tokens(80))
        waiting = asyncio.create_task(budget.reserve(tokens(50)))
        await asyncio.sleep(0)
        assert not waiting.done()
        budget.settle(first, tokens(40))
        second = await waiting
        assert budget.reserved == second.estimate
        assert budget.spent == tokens(40)

    async def test_a_waiting_call_wakes_when_room_is_given_back(self) -> None:
        budget = make_budget(Limits(cost=1.0))
        first = await budget.reserve(Spend(calls=1, cost=0.9))
        waiting = asyncio.create_task(budget.reserve(Spend(calls=1, cost=0.9)))
        await asyncio.sleep(0)
        budget.release(first)
        assert (await waiting).open
        assert budget.spent == Spend()

    async def test_a_waiting_call_is_refused_when_the_other_was_not_cheaper(self) -> None:
        budget = make_budget(Limits(tokens=100))
        first = await budget.reserve(tokens(80))
        waiting = asyncio.create_task(budget.reserve(tokens(50)))
        await asyncio.sleep(0)
        budget.settle(first, tokens(80))
        with pytest.raises(BudgetExceededError, match="tokens"):
            await waiting

    async def test_one_settlement_wakes_all_that_now_fit(self) -> None:
        budget = make_budget(Limits(tokens=100))
        first = await budget.reserve(tokens(100))
        waiting = [asyncio.create_task(budget.reserve(tokens(30))) for _ in range(3)]
        await asyncio.sleep(0)
        budget.settle(first, tokens(10))
        assert all(task.open for task in [await item for item in waiting])

    async def test_a_waiting_call_that_is_cancelled_holds_no_room(self) -> None:
        budget = make_budget(Limits(tokens=100))
        first = await budget.reserve(tokens(80))
        waiting = asyncio.create_task(budget.reserve(tokens(50)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        budget.settle(first, tokens(80))
        assert budget.reserved == Spend()

    async def test_when_every_call_has_ended_only_what_was_spent_stands_in_the_way(self) -> None:
        budget = make_budget(Limits(cost=0.6))
        held = [await budget.reserve(Spend(cost=cost)) for cost in (0.1, 0.2, 0.3)]
        for reservation in held:
            budget.release(reservation)
        assert budget.reserved.cost == 0.0
        assert (await budget.reserve(Spend(cost=0.6))).open


class TestRefusal:
    @pytest.mark.parametrize(
        ("limits", "estimate", "name"),
        [
            (Limits(calls=0), ONE_CALL, "calls"),
            (Limits(tokens=9), tokens(10), "tokens"),
            (Limits(cost=0.5), Spend(calls=1, cost=0.51), "cost"),
        ],
    )
    async def test_what_cannot_fit_is_refused_at_once_with_the_limit(
        self, limits: Limits, estimate: Spend, name: str
    ) -> None:
        with pytest.raises(BudgetExceededError, match=f"the budget of {name} does not allow") as caught:
            await make_budget(limits).reserve(estimate)
        assert caught.value.limit == name

    @pytest.mark.parametrize(
        ("limits", "estimate"),
        [
            (Limits(), Spend(calls=10**6, prompt_tokens=10**9, cost=1e9)),
            (Limits(calls=1), ONE_CALL),
            (Limits(tokens=10), tokens(10)),
            (Limits(cost=0.3), Spend(calls=1, cost=0.1 + 0.2)),
        ],
    )
    async def test_what_just_fits_is_let_through(self, limits: Limits, estimate: Spend) -> None:
        assert (await make_budget(limits).reserve(estimate)).estimate == estimate

    async def test_calls_under_way_free_no_call(self) -> None:
        budget = make_budget(Limits(calls=1))
        await budget.reserve(ONE_CALL)
        with pytest.raises(BudgetExceededError, match="calls"):
            await budget.reserve(ONE_CALL)

    async def test_no_call_begins_after_the_deadline(self) -> None:
        clock = ManualClock(100.0)
        budget = Budget(Limits(seconds=60), clock=clock, elapsed=20.0)
        clock.now = 140.0
        assert budget.elapsed == 60.0
        assert (await budget.reserve(ONE_CALL)).open
        clock.now = 140.5
        with pytest.raises(BudgetExceededError, match="seconds"):
            await budget.reserve(ONE_CALL)

    async def test_a_waiting_call_is_told_that_time_ran_out(self) -> None:
        clock = ManualClock()
        budget = Budget(Limits(tokens=100, seconds=10), clock=clock)
        first = await budget.reserve(tokens(80))
        waiting = asyncio.create_task(budget.reserve(tokens(50)))
        await asyncio.sleep(0)
        clock.now = 11.0
        budget.settle(first, tokens(10))
        with pytest.raises(BudgetExceededError, match="seconds"):
            await waiting

    async def test_the_limit_named_is_the_one_that_calls_under_way_cannot_lift(self) -> None:
        budget = make_budget(Limits(tokens=100, cost=1.0))
        await budget.reserve(tokens(80))
        with pytest.raises(BudgetExceededError) as caught:
            await budget.reserve(tokens(50) + Spend(cost=1.5))
        assert caught.value.limit == "cost"

    async def test_a_call_that_cost_more_than_its_estimate_is_counted_in_full(self) -> None:
        budget = make_budget(Limits(tokens=100))
        budget.settle(await budget.reserve(tokens(60)), tokens(120))
        assert budget.spent.tokens == 120
        with pytest.raises(BudgetExceededError, match="tokens"):
            await budget.reserve(tokens(0) + Spend(prompt_tokens=1))


class TestClosing:
    @pytest.mark.parametrize("first", ["settle", "release"])
    @pytest.mark.parametrize("second", ["settle", "release"])
    async def test_a_reservation_closes_once(self, first: str, second: str) -> None:
        budget = make_budget(Limits(calls=5))
        other = await budget.reserve(ONE_CALL)
        reservation = await budget.reserve(ONE_CALL)
        self._close(budget, reservation, first)
        spent = budget.spent
        with pytest.raises(ValueError, match="settled or released before"):
            self._close(budget, reservation, second)
        assert (budget.spent, budget.reserved) == (spent, other.estimate)
        assert not reservation.open

    @staticmethod
    def _close(budget: Budget, reservation: Reservation, how: str) -> None:
        if how == "settle":
            budget.settle(reservation, ONE_CALL)
        else:
            budget.release(reservation)


class TestSecondsLeft:
    def test_without_a_limit_there_is_no_end(self) -> None:
        assert make_budget(Limits(calls=1)).seconds_left() is None

    def test_it_shrinks_with_the_clock_and_never_below_zero(self) -> None:
        clock = ManualClock()
        budget = Budget(Limits(seconds=5), clock=clock, elapsed=1.5)
        assert budget.seconds_left() == 3.5
        clock.now = 3
        assert budget.seconds_left() == 0.5
        clock.now = 100
        assert budget.seconds_left() == 0


class TestExhausted:
    async def test_it_counts_what_is_spent_and_what_is_reserved(self) -> None:
        budget = make_budget(Limits(calls=5))
        budget.settle(await budget.reserve(ONE_CALL), ONE_CALL)
        await budget.reserve(ONE_CALL)
        assert not budget.exhausted(3)
        assert budget.exhausted(4)

    def test_a_limit_of_tokens_is_exhausted_once_it_is_passed(self) -> None:
        assert not make_budget(Limits(tokens=10), spent=tokens(10)).exhausted(1)
        assert make_budget(Limits(tokens=10), spent=tokens(11)).exhausted(1)

    def test_it_looks_at_the_clock(self) -> None:
        clock = ManualClock()
        budget = Budget(Limits(seconds=5), clock=clock)
        assert not budget.exhausted(1)
        clock.now = 5.1
        assert budget.exhausted(1)

    @given(costs=st.lists(st.integers(1, 30), min_size=1, max_size=8), data=st.data())
    async def test_replayed_spend_makes_it_answer_as_in_the_first_run(
        self, costs: list[int], data: st.DataObject
    ) -> None:
        limits = Limits(calls=data.draw(st.integers(1, 10)), tokens=data.draw(st.integers(1, 200)))
        spends = [tokens(cost) for cost in costs]
        needed = data.draw(st.integers(0, 6))
        first = [
            make_budget(limits, spent=sum(spends[:count], Spend())).exhausted(needed)
            for count in range(len(spends) + 1)
        ]
        recorded = sum(spends, Spend())
        resumed = make_budget(limits, spent=recorded, replayable=recorded)
        answers = [resumed.exhausted(needed)]
        for spend in spends:
            resumed.replay(spend)
            answers.append(resumed.exhausted(needed))
        assert answers == first
        assert resumed.spent == recorded

    async def test_a_resumed_run_cannot_spend_what_it_has_yet_to_replay(self) -> None:
        spent = Spend(calls=4)
        budget = make_budget(Limits(calls=5), spent=spent, replayable=spent)
        assert not budget.exhausted(5)
        await budget.reserve(ONE_CALL)
        with pytest.raises(BudgetExceededError, match="calls"):
            await budget.reserve(ONE_CALL)


class TestWithholding:
    async def test_what_is_withheld_is_refused_until_it_is_free(self) -> None:
        budget = make_budget(Limits(calls=5, tokens=100, cost=2.0))
        budget.withhold(Limits(calls=4, tokens=40))
        assert budget.exhausted(2)
        with pytest.raises(BudgetExceededError, match="tokens"):
            await budget.reserve(tokens(61))
        budget.settle(await budget.reserve(tokens(60)), tokens(10))
        with pytest.raises(BudgetExceededError, match="calls"):
            await budget.reserve(tokens(1))
        budget.withhold(Limits())
        budget.settle(await budget.reserve(tokens(90)), tokens(90))
        assert budget.refused_by == "tokens", "the first limit that refused a call"

    async def test_seconds_are_withheld_from_deadlines_too(self) -> None:
        clock = ManualClock()
        budget = Budget(Limits(seconds=10), clock=clock)
        budget.withhold(Limits(seconds=4))
        assert budget.seconds_left() == 6
        clock.now = 7
        assert budget.seconds_left() == 0
        with pytest.raises(BudgetExceededError, match="seconds"):
            await budget.reserve(ONE_CALL)
        budget.withhold(Limits())
        assert budget.seconds_left() == 3
        await budget.reserve(ONE_CALL)

    async def test_a_waiting_call_hears_that_room_is_free(self) -> None:
        budget = make_budget(Limits(tokens=100))
        first = await budget.reserve(tokens(50))
        budget.withhold(Limits(tokens=10))
        waiting = asyncio.ensure_future(budget.reserve(tokens(45)))
        await asyncio.sleep(0)
        assert not waiting.done()
        budget.withhold(Limits())
        budget.settle(first, tokens(50))
        assert (await waiting).open

    async def test_a_closed_budget_lets_nothing_through(self) -> None:
        budget = make_budget(Limits())
        budget.close("cost")
        with pytest.raises(BudgetExceededError, match="cost"):
            await budget.reserve(ONE_CALL)
        assert not budget.exhausted(1), "decisions between rounds look at the limits alone"
        budget.close(None)
        await budget.reserve(ONE_CALL)
