"""How many requests a backend takes at once: fewer when it says 429, more again while it answers."""


class AdaptiveCeiling:
    """Additive increase, multiplicative decrease.

    A 429 halves the ceiling, but only once for all requests that were in flight together: they were all sent
    under the old one and say the same thing. As many successes as the ceiling raise it by one.
    """

    def __init__(self, maximum: int) -> None:
        """A ceiling that begins at ``maximum`` (at least 1) and never goes above it."""
        if maximum < 1:
            raise ValueError("the maximum is at least 1")
        self.maximum = maximum
        self._height = float(maximum)
        self._window = 0

    @property
    def height(self) -> int:
        """Requests allowed at once right now, 1 to the maximum."""
        return int(self._height)

    @property
    def window(self) -> int:
        """Counts the times that it was lowered: a request belongs to the window that it began in."""
        return self._window

    def lower(self, window: int) -> bool:
        """A request that began in ``window`` was answered 429; whether that was news."""
        if window != self._window:
            return False
        self._window += 1
        self._height = max(1.0, self._height / 2)
        return True

    def rise(self) -> None:
        """A request was answered."""
        self._height = min(float(self.maximum), self._height + 1 / self._height)

    def adopt(self, height: float, window: int) -> None:
        """Take over what all processes together have found."""
        self._height = min(float(self.maximum), max(1.0, height))
        self._window = window
