"""What ``BackendLimiter`` promises, in one process and over several; subclass it with a fixture ``group``."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Protocol

import pytest

from app.llm.limits.limiter import BackendLimiter
from app.llm.limits.rates import Rates
from optimizer.errors import BackendUnavailableError, RateLimitedError
from tests.app.llm.scripted import too_many

_LONG = 30.0


class Group(Protocol):
    """Limiters that share one backend's places; with a single process they are one and the same."""

    def open(self, count: int, maximum: int, rates: Rates = ...) -> list[BackendLimiter]:
        """``count`` limiters of one backend."""
        ...

    async def hear(self, *limiters: BackendLimiter) -> None:
        """Wait until each has told what it does, and has done what it was told."""
        ...


class Visits:
    """Requests that stay until they are let go."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.most = 0
        self.entered: list[str] = []
        self._leave: dict[str, list[asyncio.Event]] = {}
        self._changed = asyncio.Condition()
        self.tasks: list[asyncio.Task[None]] = []

    def begin(self, limiter: BackendLimiter, job: str, *, count: int = 1, tokens: int = 0) -> None:
        """``count`` requests of ``job``."""
        for _ in range(count):
            self.tasks.append(asyncio.create_task(self._visit(limiter, job, tokens)))

    def release(self, job: str, count: int = 1) -> None:
        """Let those of ``job`` go that came first."""
        for event in self._leave[job][:count]:
            event.set()
        del self._leave[job][:count]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds after somebody came or went."""
        async with asyncio.timeout(_LONG), self._changed:
            await self._changed.wait_for(condition)

    async def end(self) -> None:
        """Cancel whoever is left."""
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)
        failures = [task.exception() for task in self.tasks if not task.cancelled()]
        assert [failure for failure in failures if failure is not None] == []

    async def _visit(self, limiter: BackendLimiter, job: str, tokens: int) -> None:
        async with limiter.slot(job, tokens):
            leave = asyncio.Event()
            self._leave.setdefault(job, []).append(leave)
            await self._arrive(job)
            try:
                await leave.wait()
            finally:
                self.inside.remove(job)
        async with self._changed:
            self._changed.notify_all()

    async def _arrive(self, job: str) -> None:
        self.inside.append(job)
        self.entered.append(job)
        self.most = max(self.most, len(self.inside))
        async with self._changed:
            self._changed.notify_all()


class BackendLimiterContract:
    """The suite."""

    async def test_no_more_than_the_maximum_are_under_way_together(self, group: Group) -> None:
        first, second = group.open(2, 3)
        visits = Visits()
        visits.begin(first, "a", count=5)
        visits.begin(second, "b", count=5)
        for left in range(3, 11):
            await visits.until(lambda left=left: len(visits.entered) == left)  # type: ignore[misc]
            job = visits.inside[0]
            visits.release(job)
        await visits.until(lambda: not visits.inside or len(visits.entered) == 10)
        assert visits.most == 3
        await visits.end()
        await group.hear(first, second)
        assert (first.in_flight, second.in_flight, first.waiting, second.waiting) == (0, 0, 0, 0)

    async def test_a_job_with_two_requests_gets_in_beside_one_with_hundreds(self, group: Group) -> None:
        first, second = group.open(2, 4)
        visits = Visits()
        visits.begin(first, "crowd", count=200)
        await visits.until(lambda: len(visits.entered) == 4)
        visits.begin(second, "pair", count=2)
        await group.hear(second)
        for left in (1, 2):
            visits.release("crowd")
            await visits.until(lambda left=left: visits.inside.count("pair") == left)  # type: ignore[misc]
        assert visits.entered == ["crowd"] * 4 + ["pair"] * 2
        await visits.end()

    async def test_places_are_shared_evenly_and_what_one_job_does_not_want_the_others_get(
        self, group: Group
    ) -> None:
        first, second = group.open(2, 9)
        visits = Visits()
        visits.begin(first, "a", count=30)
        await visits.until(lambda: len(visits.inside) == 9)
        visits.begin(first, "b", count=30)
        visits.begin(second, "c", count=1)
        await group.hear(first, second)
        for _ in range(5):
            before = len(visits.entered)
            visits.release("a")
            await visits.until(lambda before=before: len(visits.entered) > before)  # type: ignore[misc]
        assert [visits.inside.count(job) for job in "abc"] == [4, 4, 1]
        await visits.end()

    async def test_at_one_place_jobs_take_turns(self, group: Group) -> None:
        first, second = group.open(2, 1)
        visits = Visits()
        visits.begin(first, "a", count=20)
        await visits.until(lambda: visits.inside == ["a"])
        visits.begin(second, "b", count=3)
        await group.hear(second)
        for _ in range(5):
            before = len(visits.entered)
            visits.release(visits.inside[0])
            await visits.until(lambda before=before: len(visits.entered) > before)  # type: ignore[misc]
        assert visits.entered == ["a", "b", "a", "b", "a", "b"]
        await visits.end()

    async def test_a_job_s_requests_keep_their_order(self, group: Group) -> None:
        (limiter,) = group.open(1, 1)
        order: list[int] = []

        async def visit(number: int) -> None:
            async with limiter.slot("job"):
                order.append(number)

        tasks = [asyncio.create_task(visit(number)) for number in range(50)]
        await asyncio.wait(tasks, timeout=_LONG)
        assert order == list(range(50))

    async def test_users_wait_for_nobody_and_jobs_get_what_is_left(self, group: Group) -> None:
        first, second = group.open(2, 2)
        visits = Visits()
        visits.begin(first, "job", count=2)
        await visits.until(lambda: len(visits.inside) == 2)
        with second.serve(), second.serve():
            await group.hear(second)
            visits.begin(first, "job")
            visits.release("job", 2)
            await group.hear(first)
            await group.hear(first)
            assert (len(visits.entered), first.waiting, second.serving) == (2, 1, 2)
        await visits.until(lambda: len(visits.entered) == 3)
        await visits.end()

    async def test_a_429_anywhere_lowers_the_ceiling_for_all_and_answers_raise_it(self, group: Group) -> None:
        first, second = group.open(2, 8)
        await self._fail(first)
        await group.hear(first, second)
        assert (first.limit, second.limit) == (4, 4)
        await self._fail(second)
        await group.hear(second, first)
        assert (first.limit, second.limit) == (2, 2)
        for _ in range(100):
            async with second.slot("job"):
                pass
        await group.hear(second, first)
        assert (first.limit, second.limit) == (8, 8)

    async def test_those_who_were_in_flight_together_say_the_same(self, group: Group) -> None:
        first, second = group.open(2, 8)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(second.slot("other"))
            with pytest.raises(RateLimitedError):
                async with first.slot("job"):
                    raise too_many()
        await group.hear(first, second)
        assert (first.limit, second.limit) == (4, 4)

    async def test_other_failures_change_nothing(self, group: Group) -> None:
        (limiter,) = group.open(1, 8)
        for _ in range(5):
            with pytest.raises(BackendUnavailableError):
                async with limiter.slot("job"):
                    raise BackendUnavailableError("down", backend="b")
        await group.hear(limiter)
        assert limiter.limit == 8

    async def test_what_goes_beyond_the_rate_of_requests_waits(self, group: Group) -> None:
        first, second = group.open(2, 8, Rates(requests_per_minute=12))  # two at once, then one in 5 s
        visits = Visits()
        visits.begin(first, "a")
        visits.begin(second, "b")
        await visits.until(lambda: len(visits.entered) == 2)
        visits.begin(first, "a")
        await group.hear(first, second)
        assert first.waiting == 1
        await visits.end()

    async def test_tokens_are_set_aside_and_what_was_not_used_is_given_back(self, group: Group) -> None:
        first, second = group.open(2, 8, Rates(tokens_per_minute=600))  # 100 at once, then 10 a second
        async with first.slot("a", 80) as place:
            visits = Visits()
            visits.begin(second, "b", tokens=80)
            await group.hear(second)
            assert second.waiting == 1
            place.tokens = 5
        await visits.until(lambda: visits.inside == ["b"])
        await visits.end()

    async def test_a_request_larger_than_the_bucket_goes_when_it_is_empty(self, group: Group) -> None:
        (limiter,) = group.open(1, 8, Rates(tokens_per_minute=60))
        async with asyncio.timeout(_LONG), limiter.slot("job", 10_000) as place:
            place.tokens = 0

    async def test_users_tokens_count(self, group: Group) -> None:
        first, second = group.open(2, 8, Rates(tokens_per_minute=600))
        with first.serve() as place:
            place.tokens = 5_000
        await group.hear(first)
        visits = Visits()
        visits.begin(second, "job", tokens=80)
        await group.hear(second)
        assert second.waiting == 1
        await visits.end()

    @pytest.mark.parametrize("seed", range(5))
    async def test_cancelling_anybody_anywhere_loses_no_place(self, group: Group, seed: int) -> None:
        chance = random.Random(seed)
        limiters = group.open(2, 2)
        visits = Visits()
        for number in range(16):
            visits.begin(limiters[number % 2], chance.choice("abc"))
        for _ in range(8):
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            chance.choice(visits.tasks).cancel()
            if visits.inside and chance.random() < 0.3:
                visits.release(visits.inside[0])
            if chance.random() < 0.3:
                await group.hear(chance.choice(limiters))
        await visits.end()
        await group.hear(*limiters)
        assert visits.most <= 2
        assert [(limiter.in_flight, limiter.waiting) for limiter in limiters] == [(0, 0)] * 2
        last = Visits()
        last.begin(limiters[0], "x", count=2)
        await last.until(lambda: len(last.inside) == 2)
        await last.end()

    async def _fail(self, limiter: BackendLimiter) -> None:
        with pytest.raises(RateLimitedError):
            async with limiter.slot("job"):
                raise too_many()
