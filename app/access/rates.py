"""Rates of keys: how many requests and tokens a minute, as two buckets that fill all the time."""

import dataclasses
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from typing_extensions import override

from app.access.key_limits import KeyLimits

T = TypeVar("T")
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


def filled(limit: int | None, left: float, seconds: float, back: float = 0.0, ago: float = 0.0) -> float:
    """What a bucket holds that held ``left`` (infinite: was full) ``seconds`` ago, and gave nothing since.

    Args:
        limit: what it holds at most, and gets in a minute; None holds any amount.
        left: below zero where it is owed.
        seconds: since it held that.
        back: what was put back since, or below zero owed.
        ago: how many seconds before the end that was.
    """
    if limit is None:
        return math.inf
    late = min(seconds, ago)
    held = min(float(limit), left + (seconds - late) * limit / _MINUTE)
    return min(float(limit), min(float(limit), held + back) + late * limit / _MINUTE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Back:
    """Tokens put back, below zero owed, that a bucket has not been told of: all as of the last time."""

    tokens: int = 0
    at: float = 0.0


class BoundedNotes(OrderedDict[int, T]):
    """Something about each of the keys that were used last."""

    def note(self, key_number: int, value: T) -> None:
        """Know ``value`` of a key; where they are too many forget the one used least recently."""
        self[key_number] = value
        self.move_to_end(key_number)
        if len(self) > _CAPACITY:
            self.popitem(last=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Buckets:
    at: float = -math.inf
    requests: float = math.inf
    tokens: float = math.inf
    back: Back = Back()


class OwnRates(Rates):
    """What this process has seen alone."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """All buckets are full; ``clock`` gives monotonic seconds."""
        self._clock = clock
        self._buckets: BoundedNotes[_Buckets] = BoundedNotes()

    @override
    async def take(self, key_number: int, limits: KeyLimits, tokens: int) -> RateReading:
        return self.take_now(key_number, limits, tokens)

    def take_now(self, key_number: int, limits: KeyLimits, tokens: int) -> RateReading:
        """As ``take``, without waiting for anything."""
        now = self._clock()
        held = self._buckets.get(key_number) or _Buckets()
        passed, back = now - held.at, held.back
        requests = filled(limits.requests_per_minute, held.requests, passed)
        left = filled(limits.tokens_per_minute, held.tokens, passed, back.tokens, now - back.at)
        reading = read(limits, requests, left, bounded(tokens, limits))
        after = _Buckets(
            requests=requests if reading.requests is None else reading.requests.left,
            tokens=left if reading.tokens is None else reading.tokens.left,
            at=now,
        )
        self._buckets.note(key_number, after)
        return reading

    @override
    def settle(self, key_number: int, tokens: int) -> None:
        now = self._clock()
        held = self._buckets.get(key_number) or _Buckets()
        back = Back(tokens=held.back.tokens + tokens, at=now)
        self._buckets.note(key_number, dataclasses.replace(held, back=back))
