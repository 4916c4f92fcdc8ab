"""How much a key may use: rates per minute, and quotas per period."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from pydantic import TypeAdapter

from optimizer.types import JsonObject, JsonValue


class Period(StrEnum):
    """What a quota is for. Hours, days and months are those of UTC; ``TOTAL`` never starts again."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """What may be used in one period; None for any amount. ``cost`` is in the currency of the prices."""

    period: Period
    requests: int | None = None
    tokens: int | None = None
    cost: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyLimits:
    """All limits of a key; None for none.

    Attributes:
        requests_per_minute / tokens_per_minute: rates.
        quotas: at most one for each period.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    quotas: tuple[Quota, ...] = ()

    def to_json(self) -> JsonObject:
        """As the store keeps it."""
        quotas: list[JsonValue] = [
            {name: value for name, value in asdict(quota).items() if value is not None}
            for quota in self.quotas
        ]
        rates: JsonObject = {
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
        }
        return {**rates, "quotas": quotas}

    @classmethod
    def from_json(cls, stored: JsonObject) -> "KeyLimits":
        """What ``to_json`` wrote."""
        return _STORED.validate_python(stored)


_STORED: Final = TypeAdapter(KeyLimits)
UNLIMITED: Final = KeyLimits()
