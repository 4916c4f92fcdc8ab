"""How much the call ledger holds."""

from app.ledger.schemas import LedgerObject
from app.resources import Resources


async def measure_ledger(resources: Resources) -> LedgerObject:
    """The ledger as it is now."""
    totals = await resources.retention.totals()
    bounds = resources.settings.ledger
    return LedgerObject(
        calls=totals.calls,
        bytes=totals.bytes,
        oldest_finished_at=totals.oldest_finished_at,
        dropped_optimizations=totals.dropped_optimizations,
        keep_days=bounds.keep_days,
        max_bytes=bounds.max_bytes,
    )
