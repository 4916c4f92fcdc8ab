"""What holds for every way to count rates."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from app.access.key_limits import KeyLimits
from app.access.rates import Rates

BOTH = KeyLimits(requests_per_minute=60, tokens_per_minute=600)


class PassedTime(Protocol):
    """Lets seconds pass for whatever counts."""

    def __call__(self, seconds: float) -> Awaitable[None]: ...


class RatesContract:
    """Inherit it, with the fixtures ``rates`` and ``passes``."""

    async def test_requests_pass_until_the_bucket_is_empty(self, rates: Rates) -> None:
        readings = [await rates.take(1, KeyLimits(requests_per_minute=3), 0) for _ in range(4)]
        assert [reading.allowed for reading in readings] == [True, True, True, False]
        lefts = [int(reading.requests.left + 0.01) for reading in readings if reading.requests]
        assert lefts == [2, 1, 0, 0]
        assert readings[0].tokens is None
        assert readings[-1].wait_seconds == pytest.approx(20, abs=1)

    async def test_a_bucket_fills_all_the_time_and_never_runs_over(
        self, rates: Rates, passes: Callable[[float], Awaitable[None]]
    ) -> None:
        limits = KeyLimits(requests_per_minute=2)
        assert [(await rates.take(1, limits, 0)).allowed for _ in range(3)] == [True, True, False]
        await passes(31)
        assert [(await rates.take(1, limits, 0)).allowed for _ in range(2)] == [True, False]
        await passes(10_000)
        assert [(await rates.take(1, limits, 0)).allowed for _ in range(3)] == [True, True, False]

    async def test_a_refused_request_takes_nothing(self, rates: Rates) -> None:
        assert (await rates.take(1, BOTH, 500)).allowed
        refused = await rates.take(1, BOTH, 200)
        assert not refused.allowed
        assert refused.wait_seconds == pytest.approx(10, abs=1)
        assert refused.requests is not None
        assert refused.requests.left == pytest.approx(59, abs=1)
        assert (await rates.take(1, BOTH, 90)).allowed

    async def test_tokens_that_were_not_used_come_back_and_those_beyond_are_owed(self, rates: Rates) -> None:
        await rates.take(1, BOTH, 600)
        rates.settle(1, 500)
        reading = await rates.take(1, BOTH, 500)
        assert reading.allowed
        rates.settle(1, -300)
        refused = await rates.take(1, BOTH, 1)
        assert refused.wait_seconds == pytest.approx(30, abs=1.5)
        assert refused.tokens is not None
        assert refused.tokens.reset_seconds == pytest.approx(90, abs=1.5)

    async def test_what_is_owed_outlasts_a_bucket_that_was_full_meanwhile(
        self, rates: Rates, passes: Callable[[float], Awaitable[None]]
    ) -> None:
        await rates.take(1, BOTH, 10)
        await passes(10_000)
        rates.settle(1, -900)
        refused = await rates.take(1, BOTH, 1)
        assert refused.wait_seconds == pytest.approx(30, abs=1.5)
        await passes(31)
        assert (await rates.take(1, BOTH, 1)).allowed

    async def test_what_a_forgotten_bucket_owes_is_owed(self, rates: Rates) -> None:
        rates.settle(1, -900)
        assert (await rates.take(1, BOTH, 1)).wait_seconds == pytest.approx(30, abs=1.5)
        assert (await rates.take(2, BOTH, 600)).allowed

    async def test_what_comes_back_never_makes_a_bucket_run_over(self, rates: Rates) -> None:
        await rates.take(1, BOTH, 10)
        rates.settle(1, 5000)
        reading = await rates.take(1, BOTH, 0)
        assert reading.tokens is not None
        assert reading.tokens.left <= 600

    async def test_no_request_is_too_large_for_ever(self, rates: Rates) -> None:
        assert (await rates.take(1, BOTH, 10_000)).allowed
        assert (await rates.take(1, BOTH, 10_000)).wait_seconds == pytest.approx(60, abs=1)

    async def test_keys_have_buckets_of_their_own(self, rates: Rates) -> None:
        limits = KeyLimits(requests_per_minute=1)
        assert (await rates.take(1, limits, 0)).allowed
        assert (await rates.take(2, limits, 0)).allowed
        assert not (await rates.take(1, limits, 0)).allowed

    async def test_new_limits_hold_at_once(self, rates: Rates) -> None:
        for _ in range(3):
            await rates.take(1, KeyLimits(requests_per_minute=10), 0)
        lower = await rates.take(1, KeyLimits(requests_per_minute=2), 0)
        assert lower.requests is not None
        assert lower.requests.left <= 1.1
        unlimited = await rates.take(1, KeyLimits(), 5)
        assert unlimited.allowed
        assert (unlimited.requests, unlimited.tokens) == (None, None)
