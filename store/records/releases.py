"""Releases, their arms, and what people say about answers, as values."""

from dataclasses import dataclass, fields

from store.json_values import JsonObject
from store.records.prompts import LabelRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnArm:
    """The arm that a request was given.

    Attributes:
        arm: the label that it stands for.
        propensity: the chance that this arm had, above 0.
        stretch: the time since the labels and the policy are as they are, as a number.
    """

    arm: str
    propensity: float
    stretch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseRecord:
    """A model's release.

    Attributes:
        policy: as the application wrote it.
        salt: keeps the draws of one model apart from those of others.
        suspect_stretch / suspect_label / suspect_since: when and what looks bad, and since when.
        quiet_until: nothing is moved automatically before.
    """

    model: str
    policy: JsonObject
    salt: str
    changed_by: str
    changed_at: float
    suspect_stretch: int | None
    suspect_label: str | None
    suspect_since: float | None
    quiet_until: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseView:
    """A release and where the model's labels point, as of one moment."""

    release: ReleaseRecord
    labels: tuple[LabelRecord, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseChangeRecord:
    """One line of a release's audit log; ``policy`` is None where it was ended."""

    id: int
    model: str
    policy: JsonObject | None
    actor: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmKey:
    """One arm in one stretch; ``version_id`` is empty for the model as it is."""

    model: str
    stretch: int
    arm: str
    version_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmTally:
    """What came of an arm's requests; ``reward`` sums scores from 0 to 1, ``micros`` are millionths.

    ``refusals`` are those of the errors that are refusals of a backend.
    """

    requests: int = 0
    errors: int = 0
    refusals: int = 0
    tokens: int = 0
    micros: int = 0
    milliseconds: int = 0
    rated: int = 0
    negative: int = 0
    reward: float = 0.0

    def plus(self, other: "ArmTally") -> "ArmTally":
        """Both together."""
        names = [item.name for item in fields(self)]
        return ArmTally(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedbackDraft:
    """What one rater says about one answer.

    Attributes:
        token: what the answer's id is made of.
        rater: who says so; empty for the caller itself.
        key_number: of the caller's stored key; 0 for none.
        any_key: whether the caller may rate answers to others.
        score: -1 (bad) to 1 (good).
        may_wait: whether the answer may be so new that its row is not there yet.
    """

    token: bytes
    rater: str
    key_number: int
    any_key: bool
    score: float
    comment: str | None
    may_wait: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedbackRecord:
    """A rater's last word on an answer; ``model`` is None until the answer's row is there."""

    model: str | None
    version_id: str | None
    arm: str | None
    rater: str
    score: float
    comment: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedAnswer:
    """One answer of a release, for whoever values another policy by what this one has logged.

    Attributes:
        id: counts up; for paging.
        ending: 0 answered, 1 failed, 2 the client left.
        score: the mean of what raters say; None where none has.
    """

    id: int
    at: float
    token: bytes
    version_id: str
    arm: str
    propensity: float
    stretch: int
    ending: int
    error_code: str | None
    total_ms: int
    score: float | None
