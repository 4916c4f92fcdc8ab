"""The policy of a model's traffic, as the API takes it and the store keeps it."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.labelled_prompts import PRODUCTION
from store.json_values import JsonObject

Label = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
StickyBy = Literal["user", "conversation", "api_key"]


class Part(BaseModel):
    """A part of a policy; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Canary(Part):
    """A share of the requests is answered with another version.

    Attributes:
        label: points to that version; while it points to none, all is production's.
        weight: its share.
    """

    label: Label = "candidate"
    weight: float = Field(ge=0, le=1)


class Bandit(Part):
    """Thompson sampling between production and the versions of some labels.

    Attributes:
        labels: the other arms.
        reward: ``feedback``, scores of raters from -1 to 1; or ``success``, requests that did not fail.
        min_share: of the requests that each arm gets at least.
    """

    labels: tuple[Label, ...] = Field(min_length=1, max_length=7)
    reward: Literal["feedback", "success"] = "feedback"
    min_share: float = Field(default=0.05, gt=0, le=0.5)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({PRODUCTION, *self.labels}) <= len(self.labels):
            raise ValueError(
                "labels have to differ from each other and from production, which takes part anyway"
            )
        if self.min_share * (len(self.labels) + 1) > 1:
            raise ValueError(f"min_share of {len(self.labels) + 1} arms is more than there is")
        return self


class Shadow(Part):
    """Answered requests are asked of another version once more, and nobody gets that answer.

    Attributes:
        label: points to that version.
        share: of the requests.
        max_concurrent: copies under way in a process; what comes beyond is dropped.
        max_requests / max_cost: copies in all, and what they may cost in the prices' currency, until labels
            or policy change. Both may be passed by what is under way.
    """

    label: Label = "shadow"
    share: float = Field(default=1.0, gt=0, le=1)
    max_concurrent: int = Field(default=4, ge=1, le=256)
    max_requests: int = Field(default=10_000, ge=1)
    max_cost: float | None = Field(default=None, gt=0)


class Rollback(Part):
    """When a label is moved back by itself.

    What production answers is what others are compared with: where it gets no requests (a canary's weight is
    1) or points to no version, nothing is moved back.

    Attributes:
        max_error_increase: of the share of requests that fail, over production's; null to not look at it.
        max_negative_increase: the same of ratings below 0.
        min_requests: of each side (ratings likewise).
        level: the chance that versions which are equally good are ever told apart.
        dwell_seconds: so long it has to look bad without a break; for as long nothing moves after it.
    """

    max_error_increase: float | None = Field(default=0.0, ge=0, lt=1)
    max_negative_increase: float | None = Field(default=0.0, ge=0, lt=1)
    min_requests: int = Field(default=50, ge=1)
    level: float = Field(default=0.05, gt=0, le=0.5)
    dwell_seconds: float = Field(default=60.0, ge=0, le=86_400)


class UnreadablePolicyError(Exception):
    """A stored policy that this program cannot read: a newer one has written it."""


class ReleasePolicy(Part):
    """How a model's requests are split, watched and copied.

    Attributes:
        sticky: what keeps its arm: the ``user`` that a request names (``safety_identifier``, ``user``), its
            ``conversation`` (by its first user message), or the ``api_key``. The header
            ``x-drpo-sticky-key`` goes before; a request with none of it is drawn.
    """

    sticky: StickyBy = "user"
    canary: Canary | None = None
    bandit: Bandit | None = None
    shadow: Shadow | None = None
    rollback: Rollback | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.canary is not None and self.bandit is not None:
            raise ValueError("canary and bandit both split the requests: use one of them")
        if self.canary is not None and self.canary.label == PRODUCTION:
            raise ValueError("the canary's label has to be another one than production")
        if self.shadow is not None and self.shadow.label == PRODUCTION:
            raise ValueError("the shadow's label has to be another one than production")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all arms, production last."""
        if self.bandit is not None:
            return (*self.bandit.labels, PRODUCTION)
        return (PRODUCTION,) if self.canary is None else (self.canary.label, PRODUCTION)


def policy_of(stored: JsonObject) -> ReleasePolicy:
    """A policy as the store has it; fields that a newer version has added are left out.

    Raises:
        UnreadablePolicyError: it has values that only a newer version knows.
    """
    try:
        return ReleasePolicy.model_validate(stored, extra="ignore")
    except ValidationError as error:
        raise UnreadablePolicyError(str(error)) from error
