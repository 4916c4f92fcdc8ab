"""Rates in a real Redis: shared by processes, and no request fails while it is away."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
from redis.asyncio import Redis

from app.access.key_limits import KeyLimits
from app.access.shared_rates import SharedRates
from app.server import embedded_service
from store.connections import Database
from store.repositories.keys import KeyRepository
from tests.app.access.clock import Clock
from tests.app.access.rates_contract import RatesContract
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import question, settings_for
from tests.fakes.openai_server import serve
from tests.fixtures.redis import RedisServer

LIMITS = KeyLimits(requests_per_minute=2)


class TestSharedRates(RatesContract):
    @pytest.fixture
    def rates(self, redis: Redis) -> SharedRates:
        return SharedRates(redis, prefix="test")

    @pytest.fixture
    def passes(self, redis: Redis) -> Callable[[float], Awaitable[None]]:
        async def moves(seconds: float) -> None:
            for key in await redis.keys("test:*"):
                await redis.hincrbyfloat(key, "at", -seconds)

        return moves


async def test_processes_share_a_key_s_rate(redis: Redis) -> None:
    one, other = (SharedRates(redis, prefix="test") for _ in range(2))
    readings = [await rates.take(1, LIMITS, 0) for rates in (one, other, one, other)]
    assert [reading.allowed for reading in readings] == [True, True, False, False]


async def test_what_is_full_is_forgotten(redis: Redis) -> None:
    await SharedRates(redis, prefix="test").take(7, LIMITS, 0)
    assert 0 < await redis.ttl("test:rates:7") <= 31


async def test_what_is_owed_fills_up_from_when_it_was_known(redis: Redis) -> None:
    clock = Clock()
    rates = SharedRates(redis, prefix="test", clock=clock)
    limits = KeyLimits(tokens_per_minute=600)
    rates.settle(1, -900)
    clock.now += 31
    assert (await rates.take(1, limits, 1)).allowed
    assert not (await rates.take(1, limits, 100)).allowed


async def test_while_redis_is_away_each_process_counts_alone(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.begin()
    await redis_server.until_up()
    clock = Clock()
    redis = Redis.from_url(redis_server.url, socket_timeout=1.0)
    rates = SharedRates(redis, prefix="test", clock=clock)
    limits = KeyLimits(requests_per_minute=2, tokens_per_minute=100)
    assert (await rates.take(1, limits, 10)).allowed
    rates.settle(1, -90)
    redis_server.kill()
    # 10 tokens are left by what this process knows
    assert [(await rates.take(1, limits, 10)).allowed for _ in range(3)] == [True, False, False]
    assert caplog.text.count("Redis does not answer") == 1
    redis_server.begin()
    await redis_server.until_up()
    assert not (await rates.take(1, limits, 10)).allowed
    clock.now += 2
    back = await rates.take(1, limits, 10)
    assert back.allowed
    assert back.requests is not None
    assert back.requests.left == pytest.approx(1, abs=0.1)
    await redis.aclose()


async def test_a_redis_that_hangs_holds_nobody_up_for_long(redis_server: RedisServer) -> None:
    redis_server.begin()
    await redis_server.until_up()
    redis = Redis.from_url(redis_server.url, socket_timeout=1.0)
    rates = SharedRates(redis, prefix="test")
    redis_server.freeze()
    assert [(await rates.take(1, LIMITS, 0)).allowed for _ in range(3)] == [True, True, False]
    redis_server.kill()
    await redis.aclose()


async def test_the_service_shares_rates_through_the_configured_redis(
    sqlite_url: str, redis_server: RedisServer
) -> None:
    redis_server.begin()
    await redis_server.until_up()
    async with serve() as fake:
        settings = settings_for(sqlite_url, fake, redis={"url": redis_server.url})
        async with embedded_service(settings) as url:
            db = Database(sqlite_url)
            key, record = await add_key(KeyRepository(db), limits=KeyLimits(requests_per_minute=1))
            await db.close()
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
                path = "/v1/chat/completions"
                for expected in (200, 429):
                    answer = await client.post(path, json=question(), headers=bearer(key))
                    assert answer.status_code == expected
                redis = Redis.from_url(redis_server.url)
                assert await redis.exists(f"drpo:rates:{record.number}")
                await redis.aclose()
                redis_server.kill()
                answer = await client.post(path, json=question(), headers=bearer(key))
                assert answer.status_code == 200
