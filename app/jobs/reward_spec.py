"""How a job's answers are scored where its request says so, as the job's row stores it."""

import hashlib
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from optimizer.config import SearchConfig
from optimizer.estimate import CallRates
from optimizer.types import JsonObject
from rewards.cleaning import MAX_NAME
from rewards.external import Scale
from rewards.types import MIN_CRITERIA
from store.json_values import to_json

Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Kinds = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(max_length=50)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
MAX_DESCRIPTION = 1000
MAX_LENGTH = 10_000_000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, populate_by_name=True)


class CriterionSpec(_Part):
    """A judged criterion of the user's own.

    Attributes:
        description: what a good answer does, for selector and judge.
        weight: how much it counts; 0: it is judged and shown, and does not count.
        always: judged on every query that it is for; else the selector may choose it.
        kinds: the kinds of queries that it is for; empty for all.
    """

    name: Name
    description: str = Field(min_length=1, max_length=MAX_DESCRIPTION)
    weight: Weight = 1.0
    always: bool = True
    kinds: Kinds = ()


class _CheckSpec(_Part):
    """A code reward.

    Attributes:
        weight: how much it counts, beside the criteria's weights.
        required: an answer that gets the lowest score here has the lowest reward, 1.
        kinds: the kinds of queries that it is for; empty for all.
    """

    name: Name
    weight: Weight = 1.0
    required: bool = False
    kinds: Kinds = ()


class RegexCheckSpec(_CheckSpec):
    """``pattern`` (RE2's syntax, found anywhere in the answer) has to occur, or must not: ``match`` false."""

    kind: Literal["regex"]
    pattern: str = Field(min_length=1, max_length=1000)
    match: bool = True


class JsonSchemaCheckSpec(_CheckSpec):
    """The answer, or a fenced block in it, has to be JSON that ``schema`` accepts."""

    kind: Literal["json_schema"]
    schema_: JsonObject = Field(alias="schema")


class LengthCheckSpec(_CheckSpec):
    """The answer's length, from ``min`` to ``max``.

    Attributes:
        soft: so far beyond the range the score falls evenly from 5 to 1; with 0 it is 1 at once.
    """

    kind: Literal["length"]
    unit: Literal["words", "characters"] = "words"
    min: int = Field(default=0, ge=0, le=MAX_LENGTH)
    max: int | None = Field(default=None, ge=0, le=MAX_LENGTH)
    soft: int = Field(default=0, ge=0, le=MAX_LENGTH)


class ForbiddenWordsCheckSpec(_CheckSpec):
    """None of ``words`` (or phrases) stands in the answer as a whole word, however it is cased."""

    kind: Literal["forbidden_words"]
    words: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        min_length=1, max_length=500
    )


CheckSpec = Annotated[
    RegexCheckSpec | JsonSchemaCheckSpec | LengthCheckSpec | ForbiddenWordsCheckSpec,
    Field(discriminator="kind"),
]


class HttpScorerSpec(_Part):
    """The user's own scorer: gets ``{query, kind, answer, criteria}``, replies ``{score, rationale}``.

    Attributes:
        name: the criterion's name.
        scale: the range of its scores.
        timeout_seconds: for one request.
        headers: header names to the environment variables that hold their values.
    """

    url: str = Field(min_length=1, max_length=2000)
    name: Name = "Own scorer"
    weight: Weight = 1.0
    scale: Scale = Scale.ONE_TO_FIVE
    timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")], str] = Field(
        default_factory=dict, max_length=20
    )


class Judging(StrEnum):
    """How a judge's scores are read: from its text, or from the probabilities of what it could write."""

    TEXT = "text"
    LOGPROBS = "logprobs"


def _is_usual(judging: Judging) -> bool:
    """The usual way is not named where it is stored: versions that have no other one refuse its name."""
    return judging is Judging.TEXT


class RewardSpec(_Part):
    """What answers are scored by.

    Attributes:
        criteria: judged criteria of the user's own.
        weights: of built-in criteria by name; those without one weigh 1.
        catalogue: whether the built-in criteria are chosen from.
        checks: code rewards.
        judges: names of the judges whose scores are averaged; empty for the role's own.
        http: the user's own scorer.
        judging: how scores are read; ``logprobs`` needs judges whose backends give log-probabilities.
    """

    criteria: tuple[CriterionSpec, ...] = Field(default=(), max_length=20)
    weights: dict[str, Weight] = Field(default_factory=dict, max_length=50)
    catalogue: bool = True
    checks: tuple[CheckSpec, ...] = Field(default=(), max_length=20)
    judges: tuple[str, ...] = Field(default=(), max_length=8)
    http: HttpScorerSpec | None = None
    judging: Judging = Field(default=Judging.TEXT, exclude_if=_is_usual)

    def to_json(self) -> JsonObject:
        """As a request says it."""
        told: JsonObject = self.model_dump(mode="json", by_alias=True)
        return told

    @property
    def is_judged(self) -> bool:
        """Whether a model judges at all."""
        return self.catalogue or bool(self.criteria)

    def reasons_per_proposal(self, config: SearchConfig) -> int:
        """Answers whose scores a judge is asked to explain for one request to the proposer, at most."""
        if self.judging is Judging.TEXT or not self.is_judged:
            return 0
        return config.minibatch_size if config.racing is None else config.racing.failures

    def rates(self, config: SearchConfig) -> CallRates:
        """The calls that scoring takes in a search under ``config``."""
        offered = sum(not criterion.always for criterion in self.criteria)
        return CallRates(
            rollout=1 + (max(1, len(self.judges)) if self.is_judged else 0) + (self.http is not None),
            query=int(self.catalogue or offered > MIN_CRITERIA),
            proposal=1 + self.reasons_per_proposal(config),
        )

    @property
    def version(self) -> str:
        """12 hex digits that change when anything in it does."""
        return hashlib.sha256(to_json(self.to_json()).encode()).hexdigest()[:12]
