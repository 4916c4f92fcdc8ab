"""Rates of keys: how many requests and tokens a minute, as two buckets that fill all the time."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from typing_extensions import override

from app.access.key_limits import KeyLimits

_MINUTE: Final = 60.0
_CAPACITY: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One bucket after a request: ``left`` of ``limit`` a minute."""

    limit: int
    left: float

    @property
    def reset_seconds(self) -> float:
        """When the bucket is full if nothing more is taken."""
        return max(0.0, self.limit - self.left) * _MINUTE / self.limit


@dataclass(frozen=True, kw_only=True, slots=True)
class RateReading:
    """How a request fared. A bucket without a limit is None.

    Attributes:
        wait_seconds: 0 where the request may go on; else how long until the same one could.
    """

    wait_seconds: float
    requests: Level | None
    tokens: Level | None

    @property
    def allowed(self) -> bool:
        """Whether the request may go on; what it needs has been taken."""
        return self.wait_seconds <= 0


class Rates(Protocol):
    """Counts what keys take. Nothing is taken by a request that is refused."""

    async def take(self, key_number: int, limits: KeyLimits, tokens: int) -> RateReading:
        """Take a request and ``tokens``, of which a full bucket always holds enough, from a key's buckets."""
        ...

    def settle(self, key_number: int, tokens: int) -> None:
        """Put ``tokens`` back that were taken and not used; below zero, they were used and not taken."""
        ...


def bounded(tokens: int, limits: KeyLimits) -> int:
    """``tokens``, but never so many that a full bucket could not give them."""
    return tokens if limits.tokens_per_minute is None else min(tokens, limits.tokens_per_minute)


def read(limits: KeyLimits, requests: float, tokens: float, need: int) -> RateReading:
    """What two buckets with ``requests`` and ``tokens`` left give to a request that needs ``need`` tokens.

    The levels are those after it, where it may go on.
    """
    levels = ((limits.requests_per_minute, requests, 1), (limits.tokens_per_minute, tokens, need))
    wait = max(
        (max(0.0, amount - left) * _MINUTE / limit for limit, left, amount in levels if limit is not None),
        default=0.0,
    )
    taken = wait <= 0
    request_level, token_level = (
        None if limit is None else Level(limit=limit, left=left - amount * taken)
        for limit, left, amount in levels
    )
    return RateReading(wait_seconds=wait, requests=request_level, tokens=token_level)


def filled(limit: int | None, left: float, seconds: float) -> float:
    """What a bucket holds after ``seconds`` in which nothing was taken."""
    return math.inf if limit is None else min(float(limit), left + seconds * limit / _MINUTE)


@dataclass(slots=True)
class _Buckets:
    requests: float
    tokens: float
    at: float


class OwnRates(Rates):
    """What this process has seen alone."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """All buckets are full; ``clock`` gives monotonic seconds."""
        self._clock = clock
        self._buckets: OrderedDict[int, _Buckets] = OrderedDict()

    @override
    async def take(self, key_number: int, limits: KeyLimits, tokens: int) -> RateReading:
        return self.take_now(key_number, limits, tokens)

    def take_now(self, key_number: int, limits: KeyLimits, tokens: int) -> RateReading:
        """As ``take``, without waiting for anything."""
        now = self._clock()
        held = self._buckets.get(key_number)
        passed = 0.0 if held is None else now - held.at
        requests = filled(limits.requests_per_minute, math.inf if held is None else held.requests, passed)
        left = filled(limits.tokens_per_minute, math.inf if held is None else held.tokens, passed)
        reading = read(limits, requests, left, bounded(tokens, limits))
        self._buckets[key_number] = _Buckets(
            requests=requests if reading.requests is None else reading.requests.left,
            tokens=left if reading.tokens is None else reading.tokens.left,
            at=now,
        )
        self._buckets.move_to_end(key_number)
        if len(self._buckets) > _CAPACITY:
            self._buckets.popitem(last=False)
        return reading

    @override
    def settle(self, key_number: int, tokens: int) -> None:
        held = self._buckets.get(key_number)
        if held is not None:
            held.tokens += tokens
