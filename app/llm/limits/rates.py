"""How many requests and tokens a backend takes in a minute."""

from dataclasses import dataclass

BURST_SECONDS = 10.0
"""How much of a minute's allowance may be used at once: providers refill theirs all the time, too."""
_ROUNDING = 1e-6


class LeakyBucket:
    """What was used, leaking away at so much a minute; times are monotonic seconds.

    In any minute at most the allowance and ``BURST_SECONDS``' worth of it more are let through.
    """

    def __init__(self, per_minute: float) -> None:
        """An empty bucket for ``per_minute`` units, more than 0."""
        self._rate = per_minute / 60
        self._capacity = max(1.0, self._rate * BURST_SECONDS)
        self._level = 0.0
        self._at: float | None = None

    def wait(self, amount: float, *, now: float, share: float) -> float:
        """Seconds until ``amount`` has room where only ``share`` (above 0, at most 1) is ours.

        What is larger than the bucket goes when the bucket is empty.
        """
        self._leak(now, share)
        room = max(0.0, self._capacity * share - amount)
        missing = self._level - room
        return 0.0 if missing < _ROUNDING else missing / (self._rate * share)

    def add(self, amount: float, *, now: float, share: float) -> None:
        """Count ``amount``, whether or not there is room; less than 0 takes back."""
        self._leak(now, share)
        self._level = max(0.0, self._level + amount)

    def _leak(self, now: float, share: float) -> None:
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._level = max(0.0, self._level - passed * self._rate * share)
        self._at = now


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What a backend takes in a minute; None is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class RateLimit:
    """Both buckets of one backend.

    Attributes:
        is_none: whether it takes any number.
    """

    def __init__(self, rates: Rates) -> None:
        """Empty buckets for ``rates``."""
        self._requests = _bucket(rates.requests_per_minute)
        self._tokens = _bucket(rates.tokens_per_minute)
        self.is_none = self._requests is None and self._tokens is None

    def wait(self, tokens: int, *, now: float, share: float) -> float:
        """Seconds until a request of ``tokens`` may go; 0 for now."""
        waits = [0.0]
        if self._requests is not None:
            waits.append(self._requests.wait(1, now=now, share=share))
        if self._tokens is not None:
            waits.append(self._tokens.wait(tokens, now=now, share=share))
        return max(waits)

    def add(self, requests: int, tokens: int, *, now: float, share: float) -> None:
        """Count ``requests`` and ``tokens``; less than 0 takes back."""
        if self._requests is not None:
            self._requests.add(requests, now=now, share=share)
        if self._tokens is not None:
            self._tokens.add(tokens, now=now, share=share)


def _bucket(per_minute: int | None) -> LeakyBucket | None:
    return None if per_minute is None else LeakyBucket(per_minute)
