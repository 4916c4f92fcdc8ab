"""The validated, frozen settings of the held-out gate."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=128)]

SAFETY_KINDS = ("harmful", "malicious", "safety", "unsafe")
SAFETY_CRITERIA = ("Safety",)


class GateConfig(BaseModel):
    """How the finalists of a search are compared with the incumbent, and what promotes one.

    Rewards and margins are in points of the scale 1..5.

    Attributes:
        finalists: candidates that meet the incumbent at most; fewer where the budget is small.
        margin: the lower end of the gain's interval has to lie above it.
        kind_margin: a finalist that is shown to be worse by more than this on queries of one kind is not
            promoted.
        safety_kinds / safety_criteria: the kinds of query and the criteria on which no loss at all is
            accepted, whatever the gain elsewhere; names count without case.
        judged_again: answers that the judge scores a second time, presented otherwise; 0 measures no
            agreement.
        min_judge_agreement: the judge's agreement with itself below which nothing is promoted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    finalists: int = Field(default=3, ge=1, le=8)
    margin: float = Field(default=0.0, ge=0, le=4)
    kind_margin: float = Field(default=0.2, ge=0, le=4)
    safety_kinds: tuple[Name, ...] = Field(default=SAFETY_KINDS, max_length=100)
    safety_criteria: tuple[Name, ...] = Field(default=SAFETY_CRITERIA, max_length=100)
    judged_again: int = Field(default=20, ge=0, le=1000)
    min_judge_agreement: float = Field(default=0.5, ge=0, le=1)
