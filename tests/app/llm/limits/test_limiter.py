import asyncio
import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.limits.limiter import BackendLimiter
from optimizer.errors import BackendUnavailableError, RateLimitedError
from tests.app.llm.scripted import settle, too_many


async def one(limiter: BackendLimiter, gate: asyncio.Event, error: Exception | None = None) -> None:
    async with limiter.slot():
        await gate.wait()
        if error is not None:
            raise error


async def fail(limiter: BackendLimiter) -> None:
    with contextlib.suppress(RateLimitedError):
        async with limiter.slot():
            raise too_many()


async def succeed(limiter: BackendLimiter) -> None:
    async with limiter.slot():
        pass


def test_a_limiter_needs_room_for_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BackendLimiter(0)


async def test_no_more_than_the_limit_run_at_once() -> None:
    limiter, gate = BackendLimiter(3), asyncio.Event()
    calls = [asyncio.ensure_future(one(limiter, gate)) for _ in range(5)]
    await settle()
    assert (limiter.in_flight, limiter.waiting) == (3, 2)
    gate.set()
    await asyncio.wait(calls)
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


async def test_those_who_wait_go_in_the_order_they_came() -> None:
    limiter, gate, order = BackendLimiter(1), asyncio.Event(), list[int]()

    async def enter(place: int) -> None:
        async with limiter.slot():
            order.append(place)
            await gate.wait()

    calls = [asyncio.ensure_future(enter(place)) for place in range(5)]
    await settle()
    gate.set()
    calls.append(asyncio.ensure_future(enter(5)))
    await asyncio.wait(calls)
    assert order == list(range(6))


async def test_a_429_halves_the_limit_once_for_all_that_were_in_flight() -> None:
    limiter, gate = BackendLimiter(8), asyncio.Event()
    calls = [asyncio.ensure_future(one(limiter, gate, too_many())) for _ in range(8)]
    await settle()
    gate.set()
    done, _ = await asyncio.wait(calls)
    assert all(isinstance(call.exception(), RateLimitedError) for call in done)
    assert limiter.limit == 4


async def test_the_next_window_s_429_halves_again_but_never_below_one() -> None:
    limiter, limits = BackendLimiter(8), list[int]()
    for _ in range(6):
        await fail(limiter)
        limits.append(limiter.limit)
    assert limits == [4, 2, 1, 1, 1, 1]


async def test_it_grows_back_by_one_for_as_many_successes_as_the_limit() -> None:
    limiter = BackendLimiter(8)
    for _ in range(2):
        await fail(limiter)
    needed = []
    while limiter.limit < 8:
        before, count = limiter.limit, 0
        while limiter.limit == before:
            assert count < 10
            await succeed(limiter)
            count += 1
        needed.append(count)
    assert needed == sorted(needed)
    assert all(
        before <= count <= before + 1 for before, count in zip([2, 3, 4, 5, 6, 7], needed, strict=True)
    )
    for _ in range(50):
        await succeed(limiter)
    assert limiter.limit == 8


async def test_other_failures_neither_shrink_nor_grow_it() -> None:
    limiter = BackendLimiter(4)
    await fail(limiter)
    for _ in range(20):
        with pytest.raises(BackendUnavailableError):
            async with limiter.slot():
                raise BackendUnavailableError("down", backend="b")
    assert limiter.limit == 2


async def test_after_shrinking_nobody_enters_until_enough_have_left() -> None:
    limiter, gate = BackendLimiter(4), asyncio.Event()
    first = asyncio.ensure_future(one(limiter, asyncio.Event()))
    second = asyncio.ensure_future(one(limiter, gate))
    await settle()
    await fail(limiter)
    waiting = [asyncio.ensure_future(one(limiter, asyncio.Event())) for _ in range(3)]
    await settle()
    assert (limiter.limit, limiter.in_flight, limiter.waiting) == (2, 2, 3)
    gate.set()
    await settle()
    assert (limiter.in_flight, limiter.waiting) == (2, 2)
    for call in (first, *waiting):
        call.cancel()
    await asyncio.wait([first, second, *waiting])
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


@given(seed=st.integers(0, 10**6))
async def test_cancelling_anybody_anywhere_loses_no_place(seed: int) -> None:
    chance, limiter, gate = random.Random(seed), BackendLimiter(2), asyncio.Event()
    calls = [asyncio.ensure_future(one(limiter, gate)) for _ in range(8)]
    for _ in range(6):
        await settle(chance.randrange(3))
        chance.choice(calls).cancel()
        if chance.randrange(4) == 0:
            gate.set()
    gate.set()
    await asyncio.wait(calls, timeout=5)
    assert all(call.done() for call in calls)
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
