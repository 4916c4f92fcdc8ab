"""The call ledger's entries as values."""

from collections.abc import Mapping
from dataclasses import dataclass

from store.json_values import JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class CallSpend:
    """What calls have cost.

    Attributes:
        calls: requests sent, those with an unknown end included.
        cost: in the currency of the configured prices.
        unknown_calls: those of ``calls`` whose end nobody saw: they may be billed without an answer. They
            count with the most that one request can cost.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    unknown_calls: int = 0

    def __add__(self, other: "CallSpend") -> "CallSpend":
        """Sum of two spends."""
        return CallSpend(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost=self.cost + other.cost,
            unknown_calls=self.unknown_calls + other.unknown_calls,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedCall:
    """A finished call: its response as it was recorded, and what all attempts at it have cost."""

    response: JsonValue
    spend: CallSpend


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerShare:
    """What one optimization has in the ledger.

    Attributes:
        by_role: what its calls have cost, also those that have been dropped since.
        calls: rows that it has.
        bytes: about what these take in the database, responses compressed.
        dropped_at: when they were dropped, in seconds since 1970; None while they are there.
    """

    by_role: Mapping[str, CallSpend]
    calls: int
    bytes: int
    dropped_at: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerTotals:
    """What the whole ledger holds.

    Attributes:
        calls / bytes: rows, and about what they take in the database.
        dropped_optimizations: optimizations whose calls have been dropped.
        oldest_finished_at: end of the oldest optimization whose calls are there, in seconds since 1970; None
            where there is none.
    """

    calls: int
    bytes: int
    dropped_optimizations: int
    oldest_finished_at: float | None
