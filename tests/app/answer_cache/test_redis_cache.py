"""Answers in a real Redis: shared by processes, and none while it is away."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.answer_cache.redis_cache import RedisCache
from tests.app.answer_cache.cache_contract import MOST, AnswerCacheContract, Passes, Settled, answer
from tests.fakes.hand_clock import HandClock
from tests.fixtures.redis import RedisServer

PATIENT = 30.0
"""Seconds: a busy machine is no Redis that is away."""


class TestRedisCache(AnswerCacheContract):
    @pytest.fixture
    async def cache(self, redis: Redis) -> AsyncIterator[RedisCache]:
        cache = RedisCache(redis, prefix="test", max_entry_bytes=MOST, patience_seconds=PATIENT)
        yield cache
        await cache.aclose()

    @pytest.fixture
    def settled(self, cache: RedisCache) -> Settled:
        return cache.aclose

    @pytest.fixture
    def passes(self, redis: Redis) -> Passes:
        async def moves(seconds: float) -> None:
            for key in await redis.keys("test:*"):
                left = await redis.pttl(key)
                await redis.pexpire(key, max(0, round(left - seconds * 1000)))

        return moves


async def test_processes_share_answers_and_time_ends_them(redis: Redis) -> None:
    one, other = (
        RedisCache(redis, prefix="test", max_entry_bytes=MOST, patience_seconds=PATIENT) for _ in range(2)
    )
    one.keep("k", answer(), ttl_seconds=60)
    await one.aclose()
    assert await other.find("k") is not None
    assert 0 < await redis.ttl("test:answers:k") <= 60


@pytest.mark.parametrize("entry", [b"", b"nonsense", b"[1]\n{}", b'["x","b","m"]\n{}'])
async def test_what_somebody_else_has_written_is_no_answer(redis: Redis, entry: bytes) -> None:
    await redis.set("test:answers:k", entry)
    assert await RedisCache(redis, prefix="test", max_entry_bytes=MOST).find("k") is None


@pytest.mark.parametrize("outage", ["dead", "silent"])
async def test_while_redis_is_away_there_are_no_answers(redis_server: RedisServer, outage: str) -> None:
    redis_server.begin()
    await redis_server.until_up()
    opened = Redis.from_url(redis_server.url, socket_timeout=1, socket_connect_timeout=1)
    clock = HandClock()
    cache = RedisCache(opened, prefix="test", max_entry_bytes=MOST, clock=clock)
    cache.keep("k", answer(), ttl_seconds=60)
    await cache.aclose()
    assert await cache.find("k") is not None
    if outage == "dead":
        redis_server.kill()
    else:
        redis_server.freeze()
    assert await cache.find("k") is None
    cache.keep("k", answer(), ttl_seconds=60)
    await cache.aclose()

    if outage == "dead":
        redis_server.begin()
        await redis_server.until_up()
    else:
        redis_server.thaw()
    assert await cache.find("k") is None  # it is left alone for a while
    clock.tick(2)
    cache.keep("k", answer(b"new"), ttl_seconds=60)
    await cache.aclose()
    found = await cache.find("k")
    assert found is not None
    assert found.answer.content == b"new"
    await opened.aclose()


async def test_a_write_that_fails_is_no_error(redis_server: RedisServer) -> None:
    opened = Redis.from_url(redis_server.url, socket_connect_timeout=1)
    cache = RedisCache(opened, prefix="test", max_entry_bytes=MOST)
    cache.keep("k", answer(), ttl_seconds=60)
    await cache.aclose()
    assert await cache.find("k") is None
    await opened.aclose()
