import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from app.llm.limits.limiter import BackendLimiter
from app.llm.limits.rates import Rates
from tests.app.llm.limits.observed import Meeting, exchange_of
from tests.contracts.backend_limiter import Visits
from tests.fixtures.redis import RedisServer


@pytest.fixture
async def meeting(redis_server: RedisServer) -> AsyncIterator[Meeting]:
    opened = Meeting(redis_server.url, lease_seconds=1.0)
    yield opened
    await opened.aclose()


async def until_decided(limiter: BackendLimiter, *, by_all: bool) -> None:
    """Wait until the limiter goes by what all say, or goes on alone."""
    exchange = exchange_of(limiter)
    assert limiter._sharing is not None
    async with asyncio.timeout(30):
        while limiter._sharing.decides is not by_all:
            await exchange.until_told(exchange.begun + 1)
            await asyncio.sleep(0)


async def test_a_dead_process_s_places_come_back_when_its_lease_ends(
    redis_server: RedisServer, meeting: Meeting
) -> None:
    redis_server.begin()
    await redis_server.until_up()
    dead, alive = meeting.open(2, 2)
    visits = Visits()
    visits.begin(dead, "a", count=2)
    await visits.until(lambda: len(visits.inside) == 2)
    await meeting.crash(dead)
    visits.begin(alive, "b", count=2)
    await meeting.hear(alive)
    assert alive.waiting == 2
    await visits.until(lambda: visits.inside.count("b") == 2)
    await visits.end()


async def test_a_process_that_never_reached_redis_goes_on_alone_and_says_so_once(
    meeting: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    (limiter,) = meeting.open(1, 3)
    visits = Visits()
    visits.begin(limiter, "job", count=5)
    await visits.until(lambda: len(visits.inside) == 3)
    await meeting.hear(limiter)
    visits.release("job", 3)
    await visits.until(lambda: len(visits.entered) == 5)
    await visits.end()
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert "this process goes on with its own share" in said[0].getMessage()


async def test_while_redis_is_away_each_process_keeps_to_its_share_and_then_they_share_again(
    redis_server: RedisServer, meeting: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.begin()
    await redis_server.until_up()
    first, second = meeting.open(2, 8)
    visits = Visits()
    visits.begin(first, "a", count=40)
    visits.begin(second, "b", count=40)
    await visits.until(lambda: len(visits.inside) == 8)
    await meeting.hear(first, second)
    redis_server.kill()
    await until_decided(first, by_all=False)
    await until_decided(second, by_all=False)
    for _ in range(12):
        before = len(visits.entered)
        visits.release(visits.inside[0])
        await asyncio.sleep(0)
        if first.in_flight + second.in_flight < 8:
            continue
        await visits.until(lambda before=before: len(visits.entered) > before)  # type: ignore[misc]
    assert visits.most == 8
    assert max(first.in_flight, second.in_flight) <= 8
    redis_server.begin()
    await redis_server.until_up()
    await until_decided(first, by_all=True)
    await until_decided(second, by_all=True)
    await meeting.hear(first, second)
    assert visits.most == 8
    assert [record.getMessage() for record in caplog.records if "shared again" in record.getMessage()]
    visits.release("a", first.in_flight)
    visits.release("b", second.in_flight)
    await visits.until(lambda: len(visits.inside) == 8)
    assert visits.most == 8
    await visits.end()


async def test_a_redis_that_hangs_stops_nobody(redis_server: RedisServer, meeting: Meeting) -> None:
    redis_server.begin()
    await redis_server.until_up()
    (limiter,) = meeting.open(1, 2)
    visits = Visits()
    visits.begin(limiter, "job", count=20)
    await visits.until(lambda: len(visits.inside) == 2)
    redis_server.freeze()
    for left in range(3, 8):
        visits.release("job")
        await visits.until(lambda left=left: len(visits.entered) == left)  # type: ignore[misc]
    redis_server.thaw()
    await until_decided(limiter, by_all=True)
    assert visits.most == 2
    await visits.end()


async def test_a_redis_that_comes_back_empty_grants_nothing_before_it_has_heard_everybody(
    redis_server: RedisServer, meeting: Meeting
) -> None:
    redis_server.begin()
    await redis_server.until_up()
    first, second = meeting.open(2, 4)
    visits = Visits()
    visits.begin(first, "a", count=4)
    await visits.until(lambda: len(visits.inside) == 4)
    visits.begin(second, "b", count=4)
    await meeting.hear(second, first)
    redis_server.kill()
    redis_server.begin()
    await redis_server.until_up()
    await until_decided(first, by_all=True)
    await until_decided(second, by_all=True)
    await meeting.hear(first, second)
    # second's share while it was alone is two; the common limit is heeded again
    assert visits.inside.count("a") == 4
    assert visits.inside.count("b") <= 2
    await visits.end()


async def test_while_redis_is_away_the_rates_hold_for_each_process_s_share(meeting: Meeting) -> None:
    (limiter,) = meeting.open(1, 8, Rates(requests_per_minute=12))
    visits = Visits()
    visits.begin(limiter, "job", count=3)
    await visits.until(lambda: len(visits.inside) == 2)
    await meeting.hear(limiter)
    assert limiter.waiting == 1
    await visits.end()
