"""What the feedback endpoint takes and gives."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Rater = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]


class GiveFeedback(BaseModel):
    """What somebody says about an answer.

    Attributes:
        response_id: the ``id`` of the answer, as its body has it.
        score: from -1 (bad) to 1 (good); 0 says neither.
        user: who says so, where the caller speaks for several people; one word each counts, the last one.
        comment: kept, and read by nobody here.
    """

    model_config = ConfigDict(extra="forbid")

    response_id: str = Field(min_length=1, max_length=128)
    score: float = Field(ge=-1, le=1, allow_inf_nan=False)
    user: Rater | None = None
    comment: str | None = Field(default=None, max_length=4000)


class FeedbackObject(BaseModel):
    """Feedback as it is kept.

    Attributes:
        status: ``counted``; or ``waiting``, while the answer is not finished or not on record yet.
        model / version / arm: of the answer; null while it waits.
    """

    object: Literal["feedback"] = "feedback"
    response_id: str
    score: float
    user: str | None
    comment: str | None
    status: Literal["counted", "waiting"]
    model: str | None
    version: str | None
    arm: str | None
