"""Watching over the lease of a job while it runs: beats, and what they find."""

import asyncio
import contextlib
from collections.abc import Callable

from app.jobs.tenure import Tenure
from store.errors import StoreUnavailableError
from store.records.optimizations import Beat, BeatResult, Lease
from store.repositories.optimizations import OptimizationRepository

_BEATS_PER_LEASE = 4
_LONGEST_PAUSE = 1.0


class LeaseWatch:
    """Beats for one job."""

    def __init__(
        self,
        optimizations: OptimizationRepository,
        lease: Lease,
        tenure: Tenure,
        *,
        lease_seconds: float,
        lap: Callable[[], float],
    ) -> None:
        """A watch over ``lease``.

        Args:
            optimizations: where the lease is.
            lease: ours.
            tenure: renewed by each beat that finds the lease to be ours.
            lease_seconds: how long it lasts without a beat.
            lap: seconds worked since it was last asked; each beat adds them to the job's.
        """
        self._optimizations = optimizations
        self._lease = lease
        self._tenure = tenure
        self._lease_seconds = lease_seconds
        self._pause = min(lease_seconds / _BEATS_PER_LEASE, _LONGEST_PAUSE)
        self._lap = lap

    async def until_stopped(self, look: asyncio.Event) -> BeatResult:
        """Beat until the job is to be stopped; says why. ``look`` brings the next beat forward."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await look.wait()
            look.clear()  # or a store that is away would be asked without a pause
            found = await self._beat()
            if found is None:
                if self._tenure.seconds_left <= 0:
                    return BeatResult.LOST
            elif found.result is not BeatResult.HELD:
                return found.result

    async def _beat(self) -> Beat | None:
        """What a beat found; None where the store does not answer, or not while the lease is surely ours.

        A beat that hangs is left alone: a dead connection may take longer to give up than a lease lasts.
        """
        asked_at = self._tenure.now()
        beat = asyncio.create_task(
            self._optimizations.beat(self._lease, ttl=self._lease_seconds, elapsed=self._lap())
        )
        try:
            await asyncio.wait([beat], timeout=max(self._tenure.seconds_left, self._pause))
        finally:
            if not beat.done():
                beat.cancel()
                beat.add_done_callback(_ignore)
        if not beat.done():
            return None
        try:
            found = beat.result()
        except StoreUnavailableError:
            return None
        if found.result is BeatResult.HELD:
            self._tenure.limits.hear(found.limits)
            self._tenure.renew(asked_at)
        return found


def _ignore(beat: "asyncio.Task[Beat]") -> None:
    if not beat.cancelled():
        beat.exception()  # looked at, or the loop reports it as lost
