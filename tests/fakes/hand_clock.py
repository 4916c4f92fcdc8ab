"""A clock that a test moves."""


class HandClock:
    """Monotonic seconds, which pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.now += seconds
