"""Limiters that meet in Redis, and whose telling a test can wait for."""

import asyncio
import secrets

from pydantic import SecretStr
from typing_extensions import override

from app.llm.limits.exchange import Exchange, Reply, Report
from app.llm.limits.limiter import NO_RATES, BackendLimiter
from app.llm.limits.rates import Rates
from app.llm.limits.redis_exchange import RedisMeeting
from app.settings import BackendSettings
from tests.contracts.backend_limiter import Group

BEAT = 0.05
LEASE = 1.0
_LONG = 30.0


class Observed(Exchange):
    """An exchange that counts how often it was told something."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._changed = asyncio.Condition()
        self.begun = 0
        self.ended = 0
        self.replies: list[Reply] = []

    @override
    async def tell(self, report: Report) -> Reply:
        self.begun += 1
        number = self.begun
        try:
            reply = await self._exchange.tell(report)
            self.replies.append(reply)
            return reply
        finally:
            self.ended = number
            async with self._changed:
                self._changed.notify_all()

    async def until_told(self, number: int) -> None:
        """Wait until the telling of that number has ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.ended >= number)


class Meeting(Group):
    """Each limiter is a process of its own, as far as Redis can tell."""

    def __init__(self, url: str, *, lease_seconds: float = 10.0) -> None:
        self._url = SecretStr(url)
        self._prefix = f"drpo-test-{secrets.token_hex(6)}"
        self._lease = lease_seconds
        self._opened: list[tuple[BackendLimiter, RedisMeeting]] = []

    @override
    def open(self, count: int, maximum: int, rates: Rates = NO_RATES) -> list[BackendLimiter]:
        settings = BackendSettings.model_validate(
            {
                "kind": "simulated",
                "max_concurrency": maximum,
                "requests_per_minute": rates.requests_per_minute,
                "tokens_per_minute": rates.tokens_per_minute,
            }
        )
        limiters = []
        for _ in range(count):
            meeting = RedisMeeting(self._url, prefix=self._prefix)
            limiter = meeting.limiters(beat_seconds=BEAT, lease_seconds=self._lease)("local", settings)
            assert limiter._sharing is not None
            limiter._sharing._exchange = Observed(limiter._sharing._exchange)
            self._opened.append((limiter, meeting))
            limiters.append(limiter)
        return limiters

    @override
    async def hear(self, *limiters: BackendLimiter) -> None:
        async with asyncio.timeout(_LONG):
            for limiter in limiters:
                exchange = exchange_of(limiter)
                assert limiter._sharing is not None
                for number in (exchange.begun + 1, exchange.begun + 2):
                    limiter._sharing.wake()
                    await exchange.until_told(number)
                await asyncio.sleep(0)

    async def crash(self, limiter: BackendLimiter) -> None:
        """Never tell anything again."""
        assert limiter._sharing is not None
        assert limiter._sharing._loop is not None
        while not limiter._sharing._loop.done():
            limiter._sharing._loop.cancel()
            await asyncio.wait([limiter._sharing._loop], timeout=0.1)

    async def aclose(self) -> None:
        """Close all limiters."""
        for limiter, meeting in self._opened:
            await limiter.aclose()
            await meeting.aclose()


def exchange_of(limiter: BackendLimiter) -> Observed:
    """What the limiter tells."""
    assert limiter._sharing is not None
    assert isinstance(limiter._sharing._exchange, Observed)
    return limiter._sharing._exchange
