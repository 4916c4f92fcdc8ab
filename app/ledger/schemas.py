"""What the ledger endpoint gives."""

from typing import Literal

from pydantic import BaseModel


class VectorStoreSize(BaseModel):
    """How many vectors of texts are kept, about what they take, and their bounds; null for none."""

    count: int
    bytes: int
    keep_days: float | None
    max_bytes: int | None


class LedgerObject(BaseModel):
    """How much the call ledger holds, and its bounds.

    Attributes:
        calls / bytes: calls on record, and about what they take in the database, responses compressed.
        oldest_finished_at: end of the oldest job whose calls are on record, in Unix seconds.
        dropped_optimizations: jobs whose calls have been dropped; they cannot be replayed any more.
        keep_days / max_bytes: the bounds that the settings name; null for none.
        vectors: the same for the vectors of texts.
    """

    object: Literal["ledger"] = "ledger"
    calls: int
    bytes: int
    oldest_finished_at: float | None
    dropped_optimizations: int
    keep_days: float | None
    max_bytes: int | None
    vectors: VectorStoreSize
