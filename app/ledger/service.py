"""How much the call ledger holds."""

from app.ledger.schemas import LedgerObject, VectorStoreSize
from app.resources import Resources
from store.repositories.vector_retention import VectorRetention


async def measure_ledger(resources: Resources) -> LedgerObject:
    """The ledger as it is now."""
    totals = await resources.retention.totals()
    vectors = await VectorRetention(resources.database).totals()
    bounds = resources.settings.ledger
    return LedgerObject(
        calls=totals.calls,
        bytes=totals.bytes,
        oldest_finished_at=totals.oldest_finished_at,
        dropped_optimizations=totals.dropped_optimizations,
        keep_days=bounds.keep_days,
        max_bytes=bounds.max_bytes,
        vectors=VectorStoreSize(
            count=vectors.vectors,
            bytes=vectors.bytes,
            keep_days=bounds.vector_keep_days,
            max_bytes=bounds.vector_max_bytes,
        ),
    )
