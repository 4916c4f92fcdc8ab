"""Processes meet in Redis: one script a report, one hash a backend, nothing in it that must last.

A process's report is its lease. It holds for ``LEASE_SECONDS`` by Redis's clock and is renewed every beat, so
that ``kill -9`` leaks nothing. A report says everything anew: a Redis that comes back empty knows all again
after one beat of each process.
"""

import asyncio
import secrets
from importlib import resources

import orjson
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from typing_extensions import override

from app.llm.limits.exchange import Exchange, ExchangeUnavailableError, Reply, Report
from app.llm.limits.limiter import BEAT_SECONDS, BackendLimiter
from app.llm.limits.opening import LimiterSource, rates_of
from app.llm.limits.rates import BURST_SECONDS
from app.settings import BackendSettings
from optimizer.errors import InvalidInputError
from optimizer.types import JsonObject

LEASE_SECONDS = 10.0
_ANSWER_SECONDS = 1.0
_SETTLE_BEATS = 1.5
_PATIENCE_BEATS = 2
_KEEP_SECONDS = 86_400


class RedisMeeting:
    """This process's connection to the Redis that processes share. Close it with ``aclose``."""

    def __init__(self, url: SecretStr, *, prefix: str) -> None:
        """The Redis at ``url``, where our keys begin with ``prefix``; nothing is connected yet.

        Raises:
            InvalidInputError: there cannot be one at such a URL.
        """
        try:
            self._redis = self._open(url)
        except ValueError:  # it may repeat a password
            raise InvalidInputError(
                "redis.url: this is no URL of a Redis, such as redis://:password@host:6379/0; write what is "
                "neither letter nor digit in a password as %2F and the like",
                param="redis.url",
            ) from None
        self._prefix = prefix
        self._process = secrets.token_hex(8)

    @staticmethod
    def _open(url: SecretStr) -> Redis:
        return Redis.from_url(
            url.get_secret_value(),
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a connection that died while nobody used it is no outage
        )

    def limiters(
        self, *, beat_seconds: float = BEAT_SECONDS, lease_seconds: float = LEASE_SECONDS
    ) -> LimiterSource:
        """Limits of backends that all processes share which meet here.

        Args:
            beat_seconds: how often each says that it is alive.
            lease_seconds: how long a silent one's requests count as under way.
        """

        def open_limiter(name: str, settings: BackendSettings) -> BackendLimiter:
            rates = rates_of(settings)
            terms: JsonObject = {
                "process": self._process,
                "maximum": settings.max_concurrency,
                "lease": lease_seconds,
                "settle": _SETTLE_BEATS * beat_seconds,
                "patience": _PATIENCE_BEATS * beat_seconds,
                "burst": BURST_SECONDS,
                "keep": _KEEP_SECONDS,
            }
            if rates.requests_per_minute is not None:
                terms["requests_per_minute"] = rates.requests_per_minute
            if rates.tokens_per_minute is not None:
                terms["tokens_per_minute"] = rates.tokens_per_minute
            return BackendLimiter(
                settings.max_concurrency,
                rates=rates,
                exchange=RedisExchange(self._redis, f"{self._prefix}:limits:{{{name}}}", terms),
                name=name,
                beat_seconds=beat_seconds,
            )

        return open_limiter

    @property
    def redis(self) -> Redis:
        """The connection, for what else processes share."""
        return self._redis

    @property
    def prefix(self) -> str:
        """What all keys begin with."""
        return self._prefix

    async def answers(self) -> bool:
        """Whether Redis can be reached now."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._redis.ping()
        except (RedisError, OSError):
            return False
        return True

    async def aclose(self) -> None:
        """Close all connections."""
        await self._redis.aclose()


class RedisExchange(Exchange):
    """One backend's hash in Redis."""

    def __init__(self, redis: Redis, key: str, terms: JsonObject) -> None:
        """The hash at ``key``; ``terms`` are what a report says beside itself, see ``exchange.lua``."""
        script = resources.files("app.llm.limits").joinpath("exchange.lua").read_text(encoding="utf-8")
        self._script = redis.register_script(script)
        self._key = key
        self._terms = terms

    @override
    async def tell(self, report: Report) -> Reply:
        ask: dict[str, object] = {
            **self._terms,
            "demands": {
                job: {"running": demand.running, "wanted": demand.wanted}
                for job, demand in report.demands.items()
            },
            "serving": report.serving,
            "answered": report.answered,
            "limited_in": report.limited_in,
            "requests": report.requests,
            "tokens": report.tokens,
        }
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await self._script(keys=[self._key], args=[orjson.dumps(ask)])
        except (RedisError, OSError) as error:
            raise ExchangeUnavailableError(f"Redis does not answer ({type(error).__name__})") from error
        return _read(answer)


def _read(answer: bytes) -> Reply:
    reply = orjson.loads(answer)
    return Reply(
        grants={job: int(granted) for job, granted in reply["grants"].items()},
        height=float(reply["height"]),
        window=int(reply["window"]),
        processes=int(reply["processes"]),
        wait_seconds=reply["wait"] or None,
        settling=reply["settling"],
    )
