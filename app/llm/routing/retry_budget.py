"""How many further attempts there may be: a share of the requests, so that an outage is not multiplied."""

import time
from collections.abc import Callable
from typing import Final

_BURST_SECONDS: Final = 10.0


class RetryBudget:
    """A bucket that each request fills a little, and time as well; a further attempt takes one from it."""

    def __init__(
        self, *, share: float, per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """A full bucket: ten seconds' worth of ``per_second``, and at least one attempt where any is allowed.

        Args:
            share: of the requests, 0 to 1.
            per_second: attempts a second on top.
            clock: monotonic seconds.
        """
        self._share = share
        self._per_second = per_second
        self._clock = clock
        self._most = max(per_second * _BURST_SECONDS, 1.0 if share or per_second else 0.0)
        self._left = self._most
        self._filled_at = clock()

    @property
    def left(self) -> float:
        """Attempts that there may be now."""
        now = self._clock()
        self._fill((now - self._filled_at) * self._per_second)
        self._filled_at = now
        return self._left

    def request_came(self) -> None:
        """A request of a caller begins."""
        self._fill(self._share)

    def take(self) -> bool:
        """Take a further attempt, where there is one."""
        if self.left < 1.0:
            return False
        self._left -= 1.0
        return True

    def _fill(self, amount: float) -> None:
        self._left = min(self._most, self._left + amount)
