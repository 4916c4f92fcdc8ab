"""Monotonic seconds that a test moves."""


class Clock:
    """The clock."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
