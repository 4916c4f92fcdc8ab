from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access.key_limits import KeyLimits
from app.access.rate_headers import duration, rate_headers
from app.access.rates import Level, OwnRates, RateReading
from tests.app.access.clock import Clock
from tests.app.access.rates_contract import RatesContract


@pytest.fixture
def clock() -> Clock:
    return Clock()


class TestOwnRates(RatesContract):
    @pytest.fixture
    def rates(self, clock: Clock) -> OwnRates:
        return OwnRates(clock=clock)

    @pytest.fixture
    def passes(self, clock: Clock) -> Callable[[float], Awaitable[None]]:
        async def moves(seconds: float) -> None:
            clock.now += seconds

        return moves


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.access.rates._CAPACITY", 3)
    rates = OwnRates()
    for number in range(9):
        await rates.take(number, KeyLimits(requests_per_minute=1), 0)
    assert len(rates._buckets) == 3
    rates.settle(0, 5)  # nobody is known under this number any more


@given(
    per_minute=st.integers(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), min_size=1, max_size=40),
)
def test_no_minute_sees_more_than_a_full_bucket_and_what_has_filled_since(
    per_minute: int, steps: list[tuple[float, int]]
) -> None:
    clock = Clock()
    rates = OwnRates(clock=clock)
    limits = KeyLimits(requests_per_minute=per_minute)
    began, passed = clock.now, 0
    for wait, times in steps:
        clock.now += wait
        for _ in range(times):
            passed += rates.take_now(1, limits, 0).allowed
        assert passed <= per_minute + (clock.now - began) * per_minute / 60 + 1e-6


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.1204, "120ms"), (1, "1s"), (1.5, "1.5s"), (360, "6m0s"), (3661.25, "1h1m1.25s")],
)
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_headers_tell_of_what_is_limited_and_of_nothing_else() -> None:
    reading = RateReading(wait_seconds=0, requests=Level(limit=60, left=29.7), tokens=None)
    assert rate_headers(reading) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "29",
        "x-ratelimit-reset-requests": "30.3s",
    }
    owed = RateReading(wait_seconds=1, requests=None, tokens=Level(limit=60, left=-3))
    assert rate_headers(owed)["x-ratelimit-remaining-tokens"] == "0"
