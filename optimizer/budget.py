"""The budget of a run: reserved before a call, settled after it, exact under concurrency.

``spent + reserved`` never exceeds a limit, at any moment. All methods run on one event loop; a change of
state has no await inside it.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from typing_extensions import override

from optimizer.errors import BudgetExceededError
from optimizer.protocols import StopCondition
from optimizer.types import Spend

NOTHING_SPENT = Spend()
_ROUNDING = 1e-9  # sums of money are floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a run may use. None is no limit.

    Attributes:
        calls: requests sent to backends, retries included.
        tokens: prompt and completion tokens.
        cost: money, in the currency of the configured prices.
        seconds: running time of the job, pauses and down times left out.
    """

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None


@dataclass(eq=False, slots=True)
class Reservation:
    """Room set aside for one call; open until it is settled or released."""

    estimate: Spend
    open: bool = True


class Budget(StopCondition):
    """Hands out room for calls and counts what they cost.

    A call that cannot fit any more is refused at once; one that would fit if a call under way turns out
    cheaper than its estimate waits for that. What a resumed run already paid for is part of ``spent`` from
    the start and becomes *current* only when the run reaches it again (``replay``), so that decisions taken
    between rounds come out as they did before.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float],
        spent: Spend = NOTHING_SPENT,
        elapsed: float = 0.0,
        replayable: Spend = NOTHING_SPENT,
    ) -> None:
        """A budget under ``limits``.

        Args:
            limits: what may be used.
            clock: monotonic seconds.
            spent: what earlier attempts of this run have spent, ``replayable`` included.
            elapsed: seconds that earlier attempts ran.
            replayable: the part of ``spent`` whose answers are recorded and will be asked for again.
        """
        self.limits = limits
        self._clock = clock
        self._started = clock() - elapsed
        self._spent = spent
        self._replayable = replayable
        self._reserved = NOTHING_SPENT
        self._under_way = 0
        self._refused_by: str | None = None
        self._withheld = Limits()
        self._closed_by: str | None = None
        self._largest = NOTHING_SPENT
        self._changed = asyncio.Event()
        self._hearing: set[Callable[[], None]] = set()

    @property
    def spent(self) -> Spend:
        """What settled calls have cost, those of earlier attempts included."""
        return self._spent

    @property
    def counted(self) -> Spend:
        """``spent`` without what is recorded and was not asked for again yet: as far as this run has come."""
        return _minus(self._spent, self._replayable)

    @property
    def reserved(self) -> Spend:
        """What calls under way may cost at most."""
        return self._reserved

    @property
    def refused_by(self) -> str | None:
        """The limit that first refused a call of this attempt, or None."""
        return self._refused_by

    @property
    def largest(self) -> Spend:
        """The most tokens and the most money that one call of this attempt had to have room for."""
        return self._largest

    @property
    def elapsed(self) -> float:
        """Seconds that this run has been running."""
        return self._clock() - self._started

    def seconds_left(self) -> float | None:
        """Seconds that the run may go on, 0 or more; None without a limit."""
        if self.limits.seconds is None:
            return None
        return max(0.0, self.limits.seconds - (self._withheld.seconds or 0.0) - self.elapsed)

    def withhold(self, amounts: Limits) -> None:
        """Leave ``amounts`` of each limit alone from now on, in place of what was withheld before.

        What comes after a search needs its share, however the search ends: no retry and no repair request
        of a round gets at it. ``Limits()`` withholds nothing.
        """
        self._withheld = amounts
        self._announce()

    def change(self, limits: Limits) -> None:
        """From now on the run may use ``limits``.

        Calls under way are not given up where there is less of something now than they take, but whoever sees
        to it that none goes on when the time is over hears of it; what waits for room looks again.
        """
        self.limits = limits
        self._announce()
        for changed in tuple(self._hearing):
            changed()

    @contextmanager
    def heard_by(self, changed: Callable[[], None]) -> Iterator[None]:
        """Call ``changed`` whenever the limits have changed while the block runs."""
        self._hearing.add(changed)
        try:
            yield
        finally:
            self._hearing.discard(changed)

    def close(self, limit: str | None) -> None:
        """Refuse every call as ``limit`` would; None lets calls through again.

        For an attempt that repeats a search which has ended: whatever it had asked for is on record.
        """
        self._closed_by = limit
        self._announce()

    def has_room(self, need: Limits) -> bool:
        """Whether so much of each limit is still there beside calls under way; None needs nothing of it."""
        return self._holds(self._spent + self._reserved, need)

    def covers(self, need: Limits) -> bool:
        """As ``has_room``, where what calls under way are going to cost is part of ``need``."""
        return self._holds(self._spent, need)

    async def reserve(self, estimate: Spend) -> Reservation:
        """Set room aside for a call that costs at most ``estimate``.

        Raises:
            BudgetExceededError: it does not fit, and calls under way cannot free the room.
        """
        await self.until_room(estimate)
        limit = self._refused(self._spent + self._reserved + estimate)
        if limit is not None:
            raise self.refusal(self._for_good(limit, estimate) or limit)
        self._under_way += 1
        self._reserved = self._reserved + estimate
        self._largest = Spend(
            prompt_tokens=max(self._largest.prompt_tokens, estimate.tokens),
            cost=max(self._largest.cost, estimate.cost),
        )
        return Reservation(estimate)

    def fits(self, estimate: Spend) -> bool:
        """Whether a call of ``estimate`` may be made now."""
        return self._refused(self._spent + self._reserved + estimate) is None

    def must_wait(self, estimate: Spend) -> bool:
        """Whether a call of ``estimate`` may fit once calls under way have turned out cheaper."""
        limit = self._refused(self._spent + self._reserved + estimate)
        return limit is not None and self._for_good(limit, estimate) is None

    async def until_room(self, estimate: Spend) -> None:
        """Wait until a call of ``estimate`` fits, or never will."""
        while self.must_wait(estimate):
            await self._changed.wait()

    def refusal(self, limit: str) -> BudgetExceededError:
        """The error of a call that ``limit`` does not allow, for whoever finds that out."""
        self._refused_by = self._refused_by or limit
        return BudgetExceededError(limit)

    def settle(self, reservation: Reservation, actual: Spend) -> None:
        """Replace ``reservation`` by what the call has cost."""
        self._close(reservation)
        self._spent = self._spent + actual
        self._announce()

    def release(self, reservation: Reservation) -> None:
        """Give ``reservation`` back: its call was never sent."""
        self._close(reservation)
        self._announce()

    def replay(self, spend: Spend) -> None:
        """A recorded answer was used again; it was paid for when it was recorded."""
        left = _minus(self._replayable, spend)
        self._replayable = Spend(
            calls=max(0, left.calls),
            prompt_tokens=max(0, left.prompt_tokens),
            completion_tokens=max(0, left.completion_tokens),
            cost=max(0.0, left.cost),
        )

    @override
    def exhausted(self, calls_needed: int) -> bool:
        return self._exceeded_by(self.counted + self._reserved + Spend(calls=calls_needed)) is not None

    def _holds(self, total: Spend, need: Limits) -> bool:
        left = {
            "calls": (total.calls + (need.calls or 0), self.limits.calls),
            "tokens": (total.tokens + (need.tokens or 0), self.limits.tokens),
            "cost": (total.cost + (need.cost or 0.0), self.limits.cost),
            "seconds": (self.elapsed + (need.seconds or 0.0), self.limits.seconds),
        }
        return all(limit is None or amount <= limit + _ROUNDING for amount, limit in left.values())

    def _refused(self, total: Spend) -> str | None:
        return self._closed_by or self._exceeded_by(total)

    def _for_good(self, limit: str, estimate: Spend) -> str | None:
        """The limit that refuses ``estimate`` whatever calls under way cost; ``limit`` refuses it now."""
        return limit if limit == "calls" else self._refused(self._spent + estimate)

    def _exceeded_by(self, total: Spend) -> str | None:
        limits, kept = self.limits, self._withheld
        used = {
            "calls": (total.calls, limits.calls, kept.calls),
            "tokens": (total.tokens, limits.tokens, kept.tokens),
            "cost": (total.cost, limits.cost, kept.cost),
            "seconds": (self.elapsed, limits.seconds, kept.seconds),
        }
        for name, (amount, limit, withheld) in used.items():
            if limit is not None and amount > limit - (withheld or 0) + _ROUNDING:
                return name
        return None

    def _close(self, reservation: Reservation) -> None:
        if not reservation.open:
            raise ValueError("this reservation was settled or released before")
        reservation.open = False
        self._under_way -= 1
        left = _minus(self._reserved, reservation.estimate)
        self._reserved = left if self._under_way else NOTHING_SPENT  # floats leave crumbs of cost

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _minus(left: Spend, right: Spend) -> Spend:
    return Spend(
        calls=left.calls - right.calls,
        prompt_tokens=left.prompt_tokens - right.prompt_tokens,
        completion_tokens=left.completion_tokens - right.completion_tokens,
        cost=left.cost - right.cost,
    )
