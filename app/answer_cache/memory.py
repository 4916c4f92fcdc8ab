"""Answers kept in the memory of a process: those that were used least recently go first."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from typing_extensions import override

from app.answer_cache.cache import AnswerCache, Found, KeptAnswer

_OVERHEAD_BYTES: Final = 512
"""What an entry takes beside its content."""


class MemoryCache(AnswerCache):
    """At most ``max_bytes`` of answers."""

    def __init__(
        self, *, max_bytes: int, max_entry_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """An empty cache.

        Args:
            max_bytes: of all answers together.
            max_entry_bytes: of each.
            clock: monotonic seconds.
        """
        self.max_entry_bytes = min(max_entry_bytes, max_bytes - _OVERHEAD_BYTES)
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, tuple[KeptAnswer, float, float]] = OrderedDict()
        self._bytes = 0

    @override
    async def find(self, key: str) -> Found | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        answer, began, ends = entry
        now = self._clock()
        if now >= ends:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return Found(answer=answer, age_seconds=now - began)

    @override
    def keep(self, key: str, answer: KeptAnswer, *, ttl_seconds: float) -> None:
        if len(answer.content) > self.max_entry_bytes:
            return
        if key in self._entries:
            self._drop(key)
        now = self._clock()
        self._entries[key] = (answer, now, now + ttl_seconds)
        self._bytes += _size(answer)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    @override
    async def aclose(self) -> None:
        self._entries.clear()
        self._bytes = 0

    def _drop(self, key: str) -> None:
        answer, _, _ = self._entries.pop(key)
        self._bytes -= _size(answer)


def _size(answer: KeptAnswer) -> int:
    return len(answer.content) + _OVERHEAD_BYTES
