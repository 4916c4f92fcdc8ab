"""Answers in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answer_cache.cache import answer_key
from app.answer_cache.memory import MemoryCache
from tests.app.answer_cache.cache_contract import MOST, AnswerCacheContract, Passes, Settled, answer
from tests.fakes.hand_clock import HandClock


class TestMemoryCache(AnswerCacheContract):
    @pytest.fixture
    def clock(self) -> HandClock:
        return HandClock()

    @pytest.fixture
    def cache(self, clock: HandClock) -> MemoryCache:
        return MemoryCache(max_bytes=100_000, max_entry_bytes=MOST, clock=clock)

    @pytest.fixture
    def settled(self) -> Settled:
        async def at_once() -> None:
            return

        return at_once

    @pytest.fixture
    def passes(self, clock: HandClock) -> Passes:
        async def moves(seconds: float) -> None:
            clock.tick(seconds)

        return moves


async def test_what_was_used_least_recently_goes_first() -> None:
    cache = MemoryCache(max_bytes=3 * 1024, max_entry_bytes=512)
    for key in "abc":
        cache.keep(key, answer(b"x" * 512), ttl_seconds=60)
    assert await cache.find("a") is not None
    cache.keep("d", answer(b"x" * 512), ttl_seconds=60)
    assert [key for key in "abcd" if await cache.find(key)] == ["a", "c", "d"]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 2000)), max_size=60))
async def test_it_never_holds_more_than_it_may(kept: list[tuple[str, int]]) -> None:
    cache = MemoryCache(max_bytes=5000, max_entry_bytes=1500)
    for key, size in kept:
        cache.keep(key, answer(b"x" * size), ttl_seconds=60)
    found = [entry for key in "abcdefgh" if (entry := await cache.find(key))]
    assert sum(len(entry.answer.content) + 512 for entry in found) <= 5000
    if kept and kept[-1][1] <= 1500:
        last = await cache.find(kept[-1][0])
        assert last is not None
        assert len(last.answer.content) == kept[-1][1]


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_only_the_same_request_has_the_same_name(one: list[bytes], other: list[bytes]) -> None:
    assert (answer_key(one) == answer_key(other)) == (one == other)


def test_parts_do_not_run_into_each_other() -> None:
    assert answer_key([b"ab", b"c"]) != answer_key([b"a", b"bc"])
