"""What processes tell each other about one backend, through something that they share."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

MOST_WANTED = 32
"""Waiting requests of one job that a report names; after those have started the next report names more."""


class ExchangeUnavailableError(Exception):
    """What the processes share cannot be reached now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What one job has and wants.

    Attributes:
        running: its requests under way in this process.
        wanted: the most tokens that each of its waiting requests can use, in their order.
    """

    running: int
    wanted: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a process does at a backend now; the whole truth, so that a lost report harms nothing.

    Attributes:
        demands: by job.
        serving: requests of users under way, which ask nobody.
        answered: requests answered since the last report.
        limited_in: the window of a request that was answered 429 since then, or None.
        requests / tokens: to be added to what was used in this minute; below 0 where less was used than set
            aside.
    """

    demands: Mapping[str, Demand] = field(default_factory=dict)
    serving: int = 0
    answered: int = 0
    limited_in: int | None = None
    requests: int = 0
    tokens: int = 0

    @property
    def idle(self) -> bool:
        """Whether there is nothing to tell."""
        return self == Report()

    def without_wishes(self) -> "Report":
        """The same, with nothing that waits."""
        running = {job: Demand(running=demand.running) for job, demand in self.demands.items()}
        return replace(self, demands=running)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a process may do.

    Attributes:
        grants: how many waiting requests of each job may start now.
        height / window: of the common ceiling, see ``AdaptiveCeiling``.
        processes: how many use the backend, this one included.
        wait_seconds: until the rates let the next request go; None where they don't stand in the way.
        settling: nothing is granted yet: what is shared has begun anew, and has to hear everybody first.
    """

    grants: Mapping[str, int]
    height: float
    window: int
    processes: int
    wait_seconds: float | None = None
    settling: bool = False


class Exchange(Protocol):
    """One backend's place to meet."""

    async def tell(self, report: Report) -> Reply:
        """Say what this process does, and hear what it may start.

        What was granted counts as under way from then on.

        Raises:
            ExchangeUnavailableError: not now; the report may have arrived nevertheless.
        """
        ...
