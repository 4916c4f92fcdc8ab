"""The headers in which OpenAI's API tells rates, so that clients slow down by themselves."""

from app.access.rates import Level, RateReading

_SECOND = 1000


def rate_headers(reading: RateReading) -> dict[str, str]:
    """``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` of what is limited."""
    headers: dict[str, str] = {}
    for name, level in (("requests", reading.requests), ("tokens", reading.tokens)):
        if level is not None:
            headers |= _of(name, level)
    return headers


def duration(seconds: float) -> str:
    """``seconds`` as that API writes them: ``6m0s``, ``1.5s``, ``120ms``."""
    milliseconds = round(seconds * _SECOND)
    if milliseconds < _SECOND:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{front}{rest / _SECOND:g}s"


def _of(name: str, level: Level) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{name}": str(level.limit),
        f"x-ratelimit-remaining-{name}": str(max(0, int(level.left))),
        f"x-ratelimit-reset-{name}": duration(level.reset_seconds),
    }
