"""What is said of the vectors that are kept."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class VectorTotals:
    """How many vectors are kept, and about what they take in the database, in bytes."""

    vectors: int
    bytes: int
