"""What tokens cost."""

from dataclasses import dataclass

from typing_extensions import override

from app.backend_settings import PriceSettings
from optimizer.types import Spend, Usage

_MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """Price per million tokens, in the currency of the settings.

    Attributes:
        cached_input_per_million: of prompt tokens from the backend's cache; None for the usual price.
    """

    input_per_million: float = 0.0
    output_per_million: float = 0.0
    cached_input_per_million: float | None = None

    @classmethod
    def from_settings(cls, settings: PriceSettings) -> "Price":
        """The price that a backend is configured with."""
        return cls(
            input_per_million=settings.input_per_million,
            output_per_million=settings.output_per_million,
            cached_input_per_million=settings.cached_input_per_million,
        )

    def spend(self, usage: Usage, *, calls: int = 1) -> Spend:
        """What ``calls`` calls that used ``usage`` together have cost."""
        cached, price = usage.cached_prompt_tokens or 0, self.cached_input_per_million
        cost = (
            (usage.prompt_tokens - cached) * self.input_per_million
            + cached * (self.input_per_million if price is None else price)
            + usage.completion_tokens * self.output_per_million
        ) / _MILLION
        return Spend(
            calls=calls,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost=cost,
            cached_prompt_tokens=cached,
        )


class CallsOnly(Price):
    """The price of a service that is no language model: it counts calls, and knows no tokens."""

    __slots__ = ()

    @override
    def spend(self, usage: Usage, *, calls: int = 1) -> Spend:
        return Spend(calls=calls)
