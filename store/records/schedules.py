"""Schedules, what came of them, and counted traffic, as values."""

from dataclasses import dataclass
from enum import StrEnum

from store.json_values import JsonObject


class ScheduleStatus(StrEnum):
    """Whether a schedule makes jobs."""

    ON = "on"
    OFF = "off"


class RunOutcome(StrEnum):
    """What has come of a time at which a schedule was due."""

    STARTED = "started"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleDraft:
    """A schedule to be.

    Attributes:
        request: the request of each job, as the application wrote it.
        trigger: when, as the application wrote it.
        due_at: when it is looked at first; None for one that is off.
    """

    name: str
    request: JsonObject
    trigger: JsonObject
    due_at: float | None
    created_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleRecord(ScheduleDraft):
    """A schedule as stored; times in seconds since 1970.

    Attributes:
        last_job_id / last_started_at: the job that it made last.
        note: what was found when it was looked at last.
    """

    id: str
    status: ScheduleStatus
    last_job_id: str | None
    last_started_at: float | None
    note: str | None
    created_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DueAt:
    """When a schedule is looked at next; None for one that is off."""

    at: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleChange:
    """What becomes of a schedule; None leaves a part as it is, the time with it."""

    name: str | None = None
    request: JsonObject | None = None
    trigger: JsonObject | None = None
    due: DueAt | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """What has come of a time; ``job_id`` where a job was made, else the reason why not."""

    due_at: float
    outcome: RunOutcome
    job_id: str | None
    reason: str | None
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficTally:
    """How requests ended.

    Attributes:
        answered: answers that came to their end; the next three are kinds of them.
        truncated / refused / empty: cut at the token limit; by a filter; without a token.
        upstream_errors: the backend failed instead; not among ``answered``.
    """

    answered: int = 0
    truncated: int = 0
    refused: int = 0
    empty: int = 0
    upstream_errors: int = 0

    def plus(self, other: "TrafficTally") -> "TrafficTally":
        """Both together."""
        return TrafficTally(
            answered=self.answered + other.answered,
            truncated=self.truncated + other.truncated,
            refused=self.refused + other.refused,
            empty=self.empty + other.empty,
            upstream_errors=self.upstream_errors + other.upstream_errors,
        )
