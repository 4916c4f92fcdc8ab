"""What the example bank endpoints take and give."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from app.jobs.banks.inputs import MOST_EXAMPLES, BankReference, DraftInput, inline_or_stored
from app.jobs.schemas import BudgetInput, JobControls, ListPage, OptimizationError, SpendReport, Status
from optimizer.examples.config import RefinementConfig
from optimizer.types import JsonObject


class CreateExampleBank(BaseModel):
    """A bank to store, or to make better.

    Attributes:
        examples: inline, or a stored bank; by default the built-in one. An answer may be missing where the
            bank is refined: then it is written.
        refine: whether a job makes the answers better; else the bank is stored as it is.
        preset: named settings of the job.
        settings: single settings that differ from the preset's; see ``RefinementConfig``.
        budget: what the job may use.
        name: shown in lists.
        priority: -100 to 100; jobs with a higher one are begun first.
    """

    model_config = ConfigDict(extra="forbid")

    examples: (
        Annotated[
            Annotated[list[DraftInput], Field(min_length=1, max_length=MOST_EXAMPLES), Tag("inline")]
            | Annotated[BankReference, Tag("stored")],
            Discriminator(inline_or_stored),
        ]
        | None
    ) = None
    refine: bool = True
    preset: Literal["default", "paper", "mini"] = "default"
    settings: JsonObject = Field(default_factory=dict)
    budget: BudgetInput = BudgetInput()
    name: str | None = Field(default=None, max_length=200)
    priority: int = Field(default=0, ge=-100, le=100)


class RefinementProgress(BaseModel):
    """How far the job is.

    Attributes:
        round: rounds finished, the first answers' being round 0; null before it.
        rounds_left: rounds that are still to come at most; null before the first.
        answers / unscored: answers judged so far, and those without a score.
        mean_first / mean_best: mean reward, 1..5, of first and best answers, over the examples where both are
            scored; null where there are none. The best were selected on it, so it flatters them.
    """

    phase: Literal["queued", "refining", "finished"]
    round: int | None
    rounds_left: int | None
    answers: int
    unscored: int
    mean_first: float | None
    mean_best: float | None


class BankExample(BaseModel):
    """One example of a bank.

    Attributes:
        given_answer: what was given; null where the answer was to be written.
        answer: what the bank has now; null where the job has not ended, or no answer was found.
        first_reward / best_reward: reward before and after, 1..5; null where unscored or not refined.
        judged: answers judged.
        end: why work on it ended: ``perfect``, ``no_gain``, ``rounds``, ``unscored``, ``no_answer`` or
            ``budget``; null where it has not.
    """

    id: str
    query: str
    kind: str | None
    given_answer: str | None
    answer: str | None
    first_reward: float | None
    best_reward: float | None
    judged: int
    end: str | None


class ExampleBankObject(JobControls):
    """A bank with the job that makes it; times are Unix seconds.

    Attributes:
        bank_id: the finished bank's own id, which names its content; null before it is finished.
        calls_max: the most calls that refining takes; retries and repair requests come on top.
        models: who rewrites, selects and judges, by role; empty before the job has ended.
        examples: left out of lists.
    """

    id: str
    object: Literal["example_bank"] = "example_bank"
    name: str | None
    status: Status
    bank_id: str | None
    refine: bool
    preset: str
    settings: RefinementConfig
    budget: BudgetInput
    created_at: float
    started_at: float | None
    finished_at: float | None
    elapsed_seconds: float
    error: OptimizationError | None
    progress: RefinementProgress
    usage: SpendReport
    calls_max: int
    end: str | None
    models: JsonObject
    examples: list[BankExample] | None = None


class ExampleBankPage(ListPage):
    """A page of banks, newest first."""

    data: list[ExampleBankObject]


class AnswerObject(BaseModel):
    """An answer that was tried for an example, with its score and where it comes from."""

    example_id: str
    id: str
    parent_id: str | None
    round: int
    text: str
    rationale: str
    reward: float | None
    unscored_reason: str | None
    criteria: list[JsonObject]
    selection_rationale: str
    models: JsonObject
    at: float


class AnswerList(BaseModel):
    """The answers that were tried, by example and round."""

    object: Literal["list"] = "list"
    data: list[AnswerObject]
