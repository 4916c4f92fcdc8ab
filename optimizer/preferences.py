"""Which of two answers is better: what a judge of pairs says."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """Which of two answers to the same query a judge prefers, asked in both orders.

    Attributes:
        value: -1 (the first answer, whichever order they were shown in) to +1 (the second one). 0 where
            neither is better, or where the judge went by the place of an answer; a half where only one of
            the orders says something.
        rationale: the judge's reasons; untrusted.
        consistent: whether both orders were read and say the same.
    """

    value: float
    rationale: str = ""
    consistent: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Uncompared:
    """Two answers of which nobody knows which is better. It is never read as "equally good".

    Attributes:
        reason: what happened, for a person.
    """

    reason: str


Comparison: TypeAlias = Preference | Uncompared
