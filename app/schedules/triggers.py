"""When a schedule makes a job: at the times of a cron expression, or when requests fail more often."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self, TypeAlias
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    TypeAdapter,
    field_validator,
    model_validator,
)

from optimizer.drift import DriftRule

_HOUR = 3600.0
_FIELDS = 5
_LONGEST_HOURS = 45 * 24
"""Counts are kept for twice as long."""


class CronTrigger(BaseModel):
    """At the times of a cron expression.

    Attributes:
        cron: minute, hour, day of month, month, day of week, as Debian's cron reads them.
        timezone: an IANA name. A time that a change of the clock leaves out comes as soon as it is over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["cron"]
    cron: str = Field(min_length=1, max_length=100)
    timezone: str = Field(default="UTC", max_length=100)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (LookupError, OSError, ValueError):
            raise ValueError(f"there is no time zone {name!r}: use a name such as Europe/Berlin") from None
        return name

    @model_validator(mode="after")
    def _comes_some_day(self) -> Self:
        if len(self.cron.split()) != _FIELDS:
            raise ValueError("write five fields: minute, hour, day of month, month, day of week")
        try:
            self.after(0.0)
        except CronSimError as error:
            raise ValueError(f"{self.cron!r} is no cron expression: {error}") from None
        except StopIteration:
            raise ValueError(f"{self.cron!r} never comes") from None
        return self

    def after(self, now: float) -> float:
        """The next time after ``now``; both in seconds since 1970."""
        local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(self.timezone))
        return next(CronSim(self.cron, local)).timestamp()


class DriftTrigger(BaseModel):
    """When a larger share of the answers of the prompt in use fails than before.

    An answer fails that is cut at the token limit, filtered, or empty. It is asked once for each window, so
    that ``significance`` is the chance of a false alarm in a window.

    Attributes:
        window_hours: the recent period.
        reference_hours: the period before it that it is compared with.
        min_requests: in each of the two; fewer say nothing.
        significance: of Fisher's exact test, one-sided.
        least_increase: of the share of failures.
        cooldown_hours: for so long after it has made a job it makes no other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["drift"]
    window_hours: float = Field(default=24.0, ge=0.25, le=_LONGEST_HOURS)
    reference_hours: float = Field(default=7 * 24.0, ge=0.25, le=_LONGEST_HOURS)
    min_requests: int = Field(default=200, ge=20, le=1_000_000)
    significance: float = Field(default=0.001, gt=0, le=0.05)
    least_increase: float = Field(default=0.02, ge=0, le=1)
    cooldown_hours: float = Field(default=7 * 24.0, ge=0)

    def after(self, now: float) -> float:
        """When it is asked next: a window later."""
        return now + self.window_seconds

    @property
    def window_seconds(self) -> float:
        """The recent period."""
        return self.window_hours * _HOUR

    @property
    def reference_seconds(self) -> float:
        """The period before it."""
        return self.reference_hours * _HOUR

    @property
    def cooldown_seconds(self) -> float:
        """The time after a job in which there is no other."""
        return self.cooldown_hours * _HOUR

    @property
    def rule(self) -> DriftRule:
        """What counts as drift."""
        return DriftRule(
            min_requests=self.min_requests,
            significance=self.significance,
            least_increase=self.least_increase,
        )


Trigger: TypeAlias = Annotated[CronTrigger | DriftTrigger, Discriminator("type")]
_TRIGGER: TypeAdapter[CronTrigger | DriftTrigger] = TypeAdapter(Trigger)


def read_trigger(stored: object) -> CronTrigger | DriftTrigger:
    """The trigger that a schedule's row holds; what a newer version has added to it is passed over."""
    return _TRIGGER.validate_python(stored, extra="ignore")
