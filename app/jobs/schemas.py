"""What jobs of all kinds take and give over HTTP."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

LARGEST_BUDGET = 10**12
"""Of calls or tokens: sums of these still fit into 64 bits."""

Status = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
FINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


class BudgetInput(BaseModel):
    """What the job may use at most; a field left out is no limit.

    Attributes:
        calls: requests to backends, retries included.
        tokens: prompt and completion tokens.
        cost: money, in the currency of the configured prices.
        seconds: running time.
    """

    model_config = ConfigDict(extra="forbid")

    calls: int | None = Field(default=None, ge=1, le=LARGEST_BUDGET)
    tokens: int | None = Field(default=None, ge=1, le=LARGEST_BUDGET)
    cost: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class ChangeJob(BaseModel):
    """What may change while a job waits, is paused or runs; what is left out stays.

    Attributes:
        budget: limits to change; null for one is no limit any more. A running job takes them up within a
            second. Where less is left than what is spent, the search ends as at the end of its budget, and
            everything is kept.
        priority: -100 to 100; jobs with a higher one are begun first.
    """

    model_config = ConfigDict(extra="forbid")

    budget: BudgetInput | None = None
    priority: int | None = Field(default=None, ge=-100, le=100)


class Paused(BaseModel):
    """Why a job is paused.

    Attributes:
        cause: ``requested`` by somebody, who has to resume it, or ``backend``: then it goes on by itself.
        backend: the one that is away.
        probe_at: when it will be asked again.
    """

    cause: Literal["requested", "backend"]
    message: str
    backend: str | None
    probe_at: float | None


class DeletedJob(BaseModel):
    """A job that is no more."""

    id: str
    object: Literal["deleted_job"] = "deleted_job"
    deleted: Literal[True] = True


class JobControls(BaseModel):
    """What people have asked of a job.

    Attributes:
        pause_requested: whether it is about to pause.
        paused: why it is paused; null where it is not.
        derived_from: the job that it was restarted or cloned from.
    """

    priority: int = 0
    cancel_requested: bool = False
    pause_requested: bool = False
    paused: Paused | None = None
    derived_from: str | None = None


class OptimizationError(BaseModel):
    """Why a job failed, and what to change."""

    code: str
    message: str


class RoleSpend(BaseModel):
    """What one role's calls have cost."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class JobLedger(BaseModel):
    """What a job has in the call ledger.

    Attributes:
        calls / bytes: calls on record, and about what they take in the database.
        dropped_at: when they were dropped; null while they are there.
    """

    calls: int = 0
    bytes: int = 0
    dropped_at: float | None = None


class SpendReport(RoleSpend):
    """What all calls have cost.

    Attributes:
        ledger: what of it is on record.
        replayed: calls that were answered from the record of another job, which cost nothing.
        by_role: the same for each role.
        unknown_calls: calls under way when a run was killed; counted as spent, and the provider may bill
            them twice.
    """

    by_role: dict[str, RoleSpend] = Field(default_factory=dict)
    unknown_calls: int = 0
    replayed: int = 0
    ledger: JobLedger = JobLedger()


class ListPage(BaseModel):
    """A page of a list, after OpenAI's."""

    object: Literal["list"] = "list"
    first_id: str | None
    last_id: str | None
    has_more: bool
