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
