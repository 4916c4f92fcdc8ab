"""Rates of keys that all processes share: their buckets are in Redis, by its clock.

While Redis is away each process goes by what it has seen alone, so that a key gets its rate from each of
them. No request fails or waits for long because of it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from importlib import resources
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from typing_extensions import override

from app.access.key_limits import KeyLimits
from app.access.rates import Back, BoundedNotes, Level, OwnRates, RateReading, Rates, bounded

_LOGGER = logging.getLogger(__name__)
_ANSWER_SECONDS: Final = 0.25
_COOLING_SECONDS: Final = 2.0
"""So long Redis is left alone once it has not answered."""


class SharedRates(Rates):
    """One script a request, for keys with rates."""

    def __init__(self, redis: Redis, *, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Rates in ``redis``, where our keys begin with ``prefix``.

        Args:
            redis: stays open.
            prefix: of all keys.
            clock: monotonic seconds, for what this process counts alone while Redis is away.
        """
        script = resources.files("app.access").joinpath("rates.lua").read_text(encoding="utf-8")
        self._script = redis.register_script(script)
        self._prefix = prefix
        self._clock = clock
        self._own = OwnRates(clock=clock)
        self._pending: BoundedNotes[Back] = BoundedNotes()
        self._away_until = 0.0

    @override
    async def take(self, key_number: int, limits: KeyLimits, tokens: int) -> RateReading:
        if self._clock() >= self._away_until:
            reading = await self._ask(key_number, limits, bounded(tokens, limits))
            if reading is not None:
                return reading
        return self._own.take_now(key_number, limits, tokens)

    @override
    def settle(self, key_number: int, tokens: int) -> None:
        # told with the key's next request: until then nobody but other processes could make use of it
        self._own.settle(key_number, tokens)
        pending = self._pending.get(key_number, Back())
        self._pending.note(key_number, Back(tokens=pending.tokens + tokens, at=self._clock()))

    async def _ask(self, key_number: int, limits: KeyLimits, need: int) -> RateReading | None:
        back = self._pending.pop(key_number, Back())
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        arguments = [
            -1 if requests is None else requests,
            -1 if tokens is None else tokens,
            need,
            back.tokens,
            self._clock() - back.at,
        ]
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await self._script(keys=[f"{self._prefix}:rates:{key_number}"], args=arguments)
        except (RedisError, OSError) as error:
            if back.tokens < 0:  # what is owed is owed also if it should be told twice
                self._pending.note(key_number, back)
            _LOGGER.warning(
                "Redis does not answer (%s): rates hold for this process alone", type(error).__name__
            )
            self._away_until = self._clock() + _COOLING_SECONDS
            return None
        wait, requests_left, tokens_left = (text.decode() for text in answer)
        return RateReading(
            wait_seconds=max(0.0, float(wait)),
            requests=None if requests is None else Level(limit=requests, left=float(requests_left)),
            tokens=None if tokens is None else Level(limit=tokens, left=float(tokens_left)),
        )
