"""What the schedule endpoints take and give."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.optimizations.schemas import CreateOptimization
from app.schedules.triggers import Trigger
from optimizer.types import JsonObject


class CreateSchedule(BaseModel):
    """Jobs to be made again and again.

    Attributes:
        name: shown in lists.
        request: the body of ``POST /v1/optimizations`` for each job; give it a budget.
        trigger: when.
        enabled: whether it makes jobs.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    request: CreateOptimization
    trigger: Trigger
    enabled: bool = True


class ChangeSchedule(BaseModel):
    """What is to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=200)
    request: CreateOptimization | None = None
    trigger: Trigger | None = None
    enabled: bool | None = None


class ScheduleObject(BaseModel):
    """A schedule; times are Unix seconds.

    Attributes:
        next_at: when it is looked at next; null while it is off.
        note: what was found when it was looked at last.
    """

    id: str
    object: Literal["schedule"] = "schedule"
    name: str
    enabled: bool
    request: JsonObject
    trigger: Trigger
    next_at: float | None
    last_job_id: str | None
    last_started_at: float | None
    note: str | None
    created_by: str
    created_at: float


class ScheduleList(BaseModel):
    """All schedules, oldest first."""

    object: Literal["list"] = "list"
    data: list[ScheduleObject]


class RunObject(BaseModel):
    """What has come of a time at which a schedule was due; ``job_id`` or the reason why there is none."""

    due_at: float
    outcome: Literal["started", "skipped", "failed"]
    job_id: str | None
    reason: str | None
    at: float


class RunList(BaseModel):
    """The last hundred, newest first."""

    object: Literal["list"] = "list"
    data: list[RunObject]


class DeletedSchedule(BaseModel):
    """What is left of a deleted schedule; its jobs stay."""

    id: str
    object: Literal["schedule"] = "schedule"
    deleted: Literal[True] = True
