"""What a job will take, as the API says it before the job starts and beside what it has taken."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

LimitName: TypeAlias = Literal["calls", "tokens", "cost", "seconds"]


class Range(BaseModel):
    """At least, as expected, and at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    expected: float
    high: float


class RoleForecast(BaseModel):
    """What one role will take.

    Attributes:
        measured: whether tokens are those of earlier jobs on these models, and not guessed from the texts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: Range
    prompt_tokens: Range
    completion_tokens: Range
    cost: Range
    measured: bool


class Forecast(BaseModel):
    """What a job will take within its budget: all roles together, and each.

    Attributes:
        calls / prompt_tokens / completion_tokens / cost: ranges; retries beyond a tenth of the calls come on
            top, within the budget.
        seconds: at the pace of earlier jobs on this target; null where there was none.
        jobs_measured: earlier jobs that the figures come from; 0 where they are guessed from the texts.
        cut_by: limits of the budget that are expected to end the search.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: Literal["optimization.estimate"] = "optimization.estimate"
    calls: Range
    prompt_tokens: Range
    completion_tokens: Range
    cost: Range
    seconds: Range | None
    by_role: dict[str, RoleForecast]
    jobs_measured: int
    cut_by: list[LimitName] = Field(default_factory=list)
