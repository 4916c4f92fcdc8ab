"""How requests have ended lately, in constant memory."""

from collections.abc import Callable

_SLOTS = 10


class OutcomeWindow:
    """Counts over the last seconds, in ten slots: what is older than the window, to a slot, is forgotten."""

    def __init__(self, seconds: float, *, clock: Callable[[], float]) -> None:
        """Nothing is counted yet; ``clock`` gives monotonic seconds."""
        self._slot_seconds = seconds / _SLOTS
        self._clock = clock
        self._slot = 0
        self._requests = [0] * _SLOTS
        self._failures = [0] * _SLOTS
        self.clear()

    @property
    def requests(self) -> int:
        """Those that have ended lately."""
        self._advance()
        return sum(self._requests)

    @property
    def failures(self) -> int:
        """Those that have failed lately."""
        self._advance()
        return sum(self._failures)

    def add(self, *, failed: bool) -> None:
        """One more has ended."""
        self._advance()
        place = self._slot % _SLOTS
        self._requests[place] += 1
        self._failures[place] += failed

    def clear(self) -> None:
        """Forget everything."""
        self._slot = int(self._clock() / self._slot_seconds)
        self._requests = [0] * _SLOTS
        self._failures = [0] * _SLOTS

    def _advance(self) -> None:
        now = int(self._clock() / self._slot_seconds)
        if now - self._slot >= _SLOTS:
            self.clear()
            return
        while self._slot < now:
            self._slot += 1
            self._requests[self._slot % _SLOTS] = self._failures[self._slot % _SLOTS] = 0
