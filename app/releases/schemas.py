"""What the release endpoints take and give."""

from typing import Literal

from pydantic import BaseModel

from app.release_control.policy import ReleasePolicy
from optimizer.types import JsonObject


class ArmObject(BaseModel):
    """One arm, and what came of its requests since a label or the policy changed last.

    Attributes:
        version: null for the model as it is, or where the label points to none.
        share: of the requests; of those that are copied for the shadow.
        requests / errors: how many ended, and how many of them gave nothing that can be used.
        rated / negative: ratings, and those below 0.
        mean_score: of the ratings, from -1 to 1; null without any.
        mean_seconds / mean_tokens: of its requests; null without any.
        cost: in the currency of the prices.
    """

    label: str
    version: str | None
    share: float
    requests: int
    errors: int
    rated: int
    negative: int
    mean_score: float | None
    mean_seconds: float | None
    mean_tokens: float | None
    cost: float


class ReleaseObject(BaseModel):
    """A model's release.

    Attributes:
        since: when a label or the policy changed last, from which on is counted.
        arms: those who answer.
        shadow: who is sent copies.
        suspect_since: since when an arm looks worse than production, without a break.
        quiet_until: nothing is moved back automatically before.
    """

    object: Literal["release"] = "release"
    model: str
    policy: ReleasePolicy
    since: float
    arms: list[ArmObject]
    shadow: ArmObject | None
    suspect_since: float | None
    quiet_until: float | None
    changed_at: float
    changed_by: str


class ReleaseList(BaseModel):
    """All releases, by model."""

    object: Literal["list"] = "list"
    data: list[ReleaseObject]


class ReleaseChangeObject(BaseModel):
    """One line of the audit log; ``policy`` is as it was set, null where the release was ended."""

    id: int
    policy: JsonObject | None
    actor: str
    at: float


class ReleaseChangeList(BaseModel):
    """The changes of a model's release, newest first."""

    object: Literal["list"] = "list"
    data: list[ReleaseChangeObject]


class LoggedAnswerObject(BaseModel):
    """One answer of a release.

    Attributes:
        id: counts up; for ``after``.
        answer: the id that its caller knows it by, without what stands before it.
        propensity: the chance that this arm had.
        outcome: ``answered``, ``failed`` or ``client_left``.
        score: mean of its ratings; null without any.
    """

    id: int
    answer: str
    at: float
    version: str | None
    arm: str
    propensity: float
    since: float
    outcome: Literal["answered", "failed", "client_left"]
    error_code: str | None
    seconds: float
    score: float | None


class LoggedAnswerList(BaseModel):
    """Answers, oldest first; ``has_more`` says to ask again with ``after``, the last one's id."""

    object: Literal["list"] = "list"
    data: list[LoggedAnswerObject]
    has_more: bool
