"""Clocks that the standard library leaves to its callers to put together."""

import time


def awake_or_asleep() -> float:
    """Monotonic seconds that go on while the machine sleeps, where it can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)
