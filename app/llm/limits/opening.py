"""From a backend's settings to its limits."""

from collections.abc import Callable
from typing import TypeAlias

from app.llm.limits.limiter import BackendLimiter
from app.llm.limits.rates import Rates
from app.settings import BackendSettings

LimiterSource: TypeAlias = Callable[[str, BackendSettings], BackendLimiter]
"""From a backend's name and settings to its limits."""


def own_limiters(name: str, settings: BackendSettings) -> BackendLimiter:
    """The limits of a backend that this process has for itself."""
    return BackendLimiter(settings.max_concurrency, rates=rates_of(settings), name=name)


def rates_of(settings: BackendSettings) -> Rates:
    """What the backend takes in a minute."""
    return Rates(
        requests_per_minute=settings.requests_per_minute, tokens_per_minute=settings.tokens_per_minute
    )
