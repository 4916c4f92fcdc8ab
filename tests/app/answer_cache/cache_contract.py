"""What holds wherever answers are kept."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.answer_cache.cache import AnswerCache, KeptAnswer

MOST = 4096
Settled = Callable[[], Awaitable[None]]
Passes = Callable[[float], Awaitable[None]]


def answer(content: bytes = b"{}", backend: str = "b") -> KeptAnswer:
    return KeptAnswer(content=content, backend=backend, upstream_model="m")


class AnswerCacheContract:
    """Inherit it, with the fixtures ``cache``, ``settled`` (writing has ended) and ``passes`` (of time)."""

    async def test_what_was_kept_is_found(self, cache: AnswerCache, settled: Settled, passes: Passes) -> None:
        content = b'data: {"a": "\n"}\n\n\x00\xff'
        cache.keep("k", answer(content), ttl_seconds=60)
        await settled()
        await passes(20)
        found = await cache.find("k")
        assert found is not None
        assert found.answer == answer(content)
        assert found.age_seconds == pytest.approx(20, abs=5)
        assert await cache.find("another") is None

    async def test_it_is_forgotten_when_its_time_is_over(
        self, cache: AnswerCache, settled: Settled, passes: Passes
    ) -> None:
        cache.keep("k", answer(), ttl_seconds=60)
        await settled()
        await passes(61)
        assert await cache.find("k") is None

    async def test_the_last_answer_takes_the_place_of_the_one_before(
        self, cache: AnswerCache, settled: Settled, passes: Passes
    ) -> None:
        cache.keep("k", answer(b"1"), ttl_seconds=60)
        await settled()
        await passes(50)
        cache.keep("k", answer(b"2", backend="c"), ttl_seconds=60)
        await settled()
        await passes(50)
        found = await cache.find("k")
        assert found is not None
        assert found.answer == answer(b"2", backend="c")

    async def test_what_is_too_long_is_not_kept(self, cache: AnswerCache, settled: Settled) -> None:
        cache.keep("k", answer(b"x" * MOST), ttl_seconds=60)
        cache.keep("long", answer(b"x" * (MOST + 1)), ttl_seconds=60)
        await settled()
        assert await cache.find("k") is not None
        assert await cache.find("long") is None

    async def test_many_at_once_are_kept_apart(self, cache: AnswerCache, settled: Settled) -> None:
        for number in range(20):
            cache.keep(str(number), answer(str(number).encode()), ttl_seconds=60)
        await settled()
        found = await asyncio.gather(*(cache.find(str(number)) for number in range(20)))
        assert [entry and entry.answer.content for entry in found] == [b"%d" % n for n in range(20)]
