"""Figures about the whole database, for whoever watches it: few, and cheap to read."""

from dataclasses import dataclass

from sqlalchemy import func, select, text

from store.clock import db_now
from store.connections import Database
from store.models.optimization import Optimization


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreFigures:
    """What is in the database.

    Attributes:
        bytes: what it takes.
        jobs: how many there are by status, without deleted ones; a status without any is missing.
        oldest_queued_seconds: for how long the first of the queue has waited; 0 where nothing waits.
        paused_for: how many jobs are paused for each backend.
    """

    bytes: int
    jobs: dict[str, int]
    oldest_queued_seconds: float
    paused_for: dict[str, int]


class FigureRepository:
    """Reads them."""

    def __init__(self, db: Database) -> None:
        """Those of ``db``."""
        self._db = db

    async def read(self) -> StoreFigures:
        """The figures now.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        is_there = Optimization.deleted_at.is_(None)  # those of other states have ended
        by_status = select(Optimization.status, func.count()).where(is_there).group_by(Optimization.status)
        oldest = select(db_now() - func.min(Optimization.created_at)).where(Optimization.status == "queued")
        paused = select(Optimization.paused_because).where(Optimization.status == "paused")
        async with self._db.read() as session:
            jobs = {status: int(count) for status, count in await session.execute(by_status)}
            waited = await session.scalar(oldest)
            paused_for: dict[str, int] = {}
            for reason in await session.scalars(paused):
                backend = None if reason is None else reason.get("backend")
                if isinstance(backend, str):
                    paused_for[backend] = paused_for.get(backend, 0) + 1
            size = await session.scalar(text(_SIZES[self._db.dialect]))
        return StoreFigures(
            bytes=int(size or 0),
            jobs=jobs,
            oldest_queued_seconds=max(0.0, float(waited or 0.0)),
            paused_for=paused_for,
        )


_SIZES = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}
