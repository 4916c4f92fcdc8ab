"""What judging on demand takes and gives."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.reward_spec import MAX_DESCRIPTION, Name
from optimizer.types import Spend

TEXT_LIMIT = 20_000
MOST_ANSWERS = 8
MOST_CRITERIA = 10
MOST_VERSIONS = 8


class CriterionInput(BaseModel):
    """A criterion to judge by: a built-in one by its name, or one of the caller's own with a description."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: Name
    description: str | None = Field(default=None, min_length=1, max_length=MAX_DESCRIPTION)


class EvaluateAnswers(BaseModel):
    """Answers to one query, which are judged on the same criteria.

    Attributes:
        query: what was asked.
        answers: up to eight.
        criteria: by default the selector chooses two to five for the query.
        judge: one of the configured ``judges``; by default the role's own.
    """

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=TEXT_LIMIT)
    answers: list[Annotated[str, Field(min_length=1, max_length=TEXT_LIMIT)]] = Field(
        min_length=1, max_length=MOST_ANSWERS
    )
    criteria: list[CriterionInput] | None = Field(default=None, min_length=1, max_length=MOST_CRITERIA)
    judge: str | None = Field(default=None, min_length=1, max_length=256)


class CriterionVerdict(BaseModel):
    """What the judge says on one criterion: 1 to 5."""

    criterion: str
    score: float
    rationale: str


class JudgedAnswer(BaseModel):
    """One answer.

    Attributes:
        index: its place in the request, from 0.
        reward: mean of its scores; null where it is unscored, and then the reason says why.
    """

    index: int
    reward: float | None
    unscored_reason: str | None
    criteria: list[CriterionVerdict]


class JudgingUse(BaseModel):
    """What the models that were asked have used; ``cost`` in the currency of the prices."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


def used(spend: Spend) -> JudgingUse:
    """``spend`` as it is shown."""
    return JudgingUse(
        calls=spend.calls,
        prompt_tokens=spend.prompt_tokens,
        completion_tokens=spend.completion_tokens,
        cost=spend.cost,
    )


class AnswerEvaluation(BaseModel):
    """The verdicts on all answers, in their order.

    Attributes:
        judge: the model that judged.
        criteria: names of what they were judged on.
        selection_rationale: why these, where the selector chose.
    """

    object: Literal["evaluation"] = "evaluation"
    judge: str
    criteria: list[str]
    selection_rationale: str
    data: list[JudgedAnswer]
    usage: JudgingUse
    seconds: float


class MeasureLikelihood(BaseModel):
    """An answer that is given, such as a reference, and the versions that could have written it.

    Attributes:
        model: a target.
        query: what was asked.
        answer: what should have been answered.
        versions: each by its id, number or label; null asks the model as it is.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    model: str
    query: str = Field(min_length=1, max_length=TEXT_LIMIT)
    answer: str = Field(min_length=1, max_length=TEXT_LIMIT)
    versions: list[Annotated[str, Field(min_length=1, max_length=256)] | None] = Field(
        min_length=1, max_length=MOST_VERSIONS
    )


class VersionLikelihood(BaseModel):
    """How likely the answer is under one version.

    Attributes:
        name: as the request names it; null for the model as it is.
        version: its id.
        tokens: of the answer.
        logprob: natural logarithm of the answer's probability, without its end.
        mean_logprob: for a token; null where there is none, and then the reason says why.
    """

    name: str | None
    version: str | None
    tokens: int | None = None
    logprob: float | None = None
    mean_logprob: float | None = None
    unscored_reason: str | None = None


class AnswerLikelihood(BaseModel):
    """How likely an answer is under each version, in the order of the request."""

    object: Literal["likelihood"] = "likelihood"
    model: str
    data: list[VersionLikelihood]
    usage: JudgingUse
    seconds: float
