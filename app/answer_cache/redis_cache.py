"""Answers kept in Redis, for all processes that share it; Redis itself forgets them when their time is over.

While it is away there are none: a request waits a quarter of a second for it at most, and then not at all for
two seconds.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError
from typing_extensions import override

from app.answer_cache.cache import AnswerCache, Found, KeptAnswer

_LOGGER = logging.getLogger(__name__)
_ANSWER_SECONDS: Final = 0.25
_COOLING_SECONDS: Final = 2.0
_MOST_WRITES: Final = 64
"""Under way at a time; what comes beyond is not kept."""


class RedisCache(AnswerCache):
    """Answers under keys of ours in Redis. Close it before the connection."""

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str,
        max_entry_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        patience_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        """Answers in ``redis``, which stays open.

        Args:
            redis: the connection.
            prefix: what our keys begin with.
            max_entry_bytes: the longest answer that is kept.
            clock: monotonic seconds, for how long Redis is left alone.
            patience_seconds: how long Redis may take: an answer must not wait longer for a chance to be kept.
        """
        self.max_entry_bytes = max_entry_bytes
        self._redis = redis
        self._prefix = prefix
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._away_until = 0.0
        self._writing: set[asyncio.Task[None]] = set()

    @override
    async def find(self, key: str) -> Found | None:
        if self._clock() < self._away_until:
            return None
        try:
            async with asyncio.timeout(self._patience_seconds):
                async with self._redis.pipeline(transaction=False) as asked:
                    asked.execute_command("GET", self._name(key))
                    asked.execute_command("PTTL", self._name(key))
                    entry, left_ms = await asked.execute()
        except (RedisError, OSError) as error:
            self._leave_alone(error)
            return None
        return None if entry is None else _read(entry, left_ms)

    @override
    def keep(self, key: str, answer: KeptAnswer, *, ttl_seconds: float) -> None:
        too_long = len(answer.content) > self.max_entry_bytes
        if too_long or self._clock() < self._away_until or len(self._writing) >= _MOST_WRITES:
            return
        head = orjson.dumps([ttl_seconds, answer.backend, answer.upstream_model])
        write = asyncio.ensure_future(self._write(key, head + b"\n" + answer.content, ttl_seconds))
        self._writing.add(write)
        write.add_done_callback(self._writing.discard)

    @override
    async def aclose(self) -> None:
        if self._writing:
            await asyncio.wait(self._writing)

    async def _write(self, key: str, entry: bytes, ttl_seconds: float) -> None:
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._redis.set(self._name(key), entry, px=max(1, round(ttl_seconds * 1000)))
        except (RedisError, OSError) as error:
            self._leave_alone(error)

    def _name(self, key: str) -> str:
        return f"{self._prefix}:answers:{key}"

    def _leave_alone(self, error: Exception) -> None:
        _LOGGER.warning("Redis does not answer (%s): no answers are kept meanwhile", type(error).__name__)
        self._away_until = self._clock() + _COOLING_SECONDS


def _read(entry: bytes, left_ms: int) -> Found | None:
    """The answer in ``entry``: as old as Redis's clock says, which all processes share."""
    head, _, content = entry.partition(b"\n")
    try:
        ttl_seconds, backend, upstream_model = orjson.loads(head)
        age = float(ttl_seconds) - left_ms / 1000
    except (ValueError, TypeError):
        return None  # somebody else has written there
    answer = KeptAnswer(content=content, backend=str(backend), upstream_model=str(upstream_model))
    return Found(answer=answer, age_seconds=max(0.0, age))
