"""For how long a worker may be sure that a job is still its own."""

import asyncio
from collections.abc import Callable

from app.clocks import awake_or_asleep
from app.jobs.limits import LiveLimits

_SURE_SHARE = 0.8
"""Of a lease; the rest is for clocks that run apart and for what is sent meanwhile."""


class Tenure:
    """The time since a lease was last known to be ours.

    A process may be stopped for any time at any point, and finds out by this clock alone: what it had
    prepared before is not sent before a beat has said that the job is still its own.

    Attributes:
        limits: what the job may use meanwhile, as the beats find it.
    """

    def __init__(self, lease_seconds: float, clock: Callable[[], float] = awake_or_asleep) -> None:
        """A tenure that begins now, of a lease that lasts ``lease_seconds`` without a beat."""
        self._sure_seconds = lease_seconds * _SURE_SHARE
        self.limits = LiveLimits()
        self._clock = clock
        self._since = clock()
        self._renewed = asyncio.Event()

    def now(self) -> float:
        """The time to give to ``renew``: read it before the beat is sent."""
        return self._clock()

    def renew(self, asked_at: float) -> None:
        """A beat that was sent at ``asked_at`` has found the lease to be ours."""
        self._since = max(self._since, asked_at)
        self._renewed.set()
        self._renewed = asyncio.Event()

    @property
    def seconds_left(self) -> float:
        """For how long it is still sure; negative where it is not any more."""
        return self._since + self._sure_seconds - self._clock()

    async def assured(self) -> None:
        """Return at once while it is sure, else with the beat that makes it so again.

        Without such a beat it does not return: the worker cancels whoever waits.
        """
        while self.seconds_left <= 0:
            await self._renewed.wait()
