"""Counts of how served requests ended, in windows of a few minutes."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, cast, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from store.clock import db_now
from store.connections import Database, Dialect
from store.models.traffic_count import TrafficCount
from store.records.schedules import TrafficTally

BUCKET_SECONDS: Final = 300
_COUNTED: Final = ("answered", "truncated", "refused", "empty", "upstream_errors")


class TrafficRepository:
    """The table of counts. Windows are those of the database's clock."""

    def __init__(self, db: Database) -> None:
        """The table in ``db``."""
        self._db = db

    async def add(self, tallies: Mapping[tuple[str, str], TrafficTally]) -> None:
        """Add what was counted just now, by model and version."""
        new_row = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
        async with self._db.session() as session:
            # in one order for everybody: two processes must not wait for each other's rows
            for (model, version_id), tally in sorted(tallies.items(), key=lambda item: item[0]):
                counts = {name: getattr(tally, name) for name in _COUNTED}
                statement = new_row(TrafficCount).values(
                    model=model, version_id=version_id, bucket=_bucket_now(self._db.dialect), **counts
                )
                table = TrafficCount.__table__
                await session.execute(
                    statement.on_conflict_do_update(
                        index_elements=["model", "version_id", "bucket"],
                        set_={name: table.c[name] + statement.excluded[name] for name in _COUNTED},
                    )
                )

    async def between(self, model: str, version_id: str, *, since: float, until: float) -> TrafficTally:
        """What was counted in the windows within a period; both ends in seconds before now."""
        statement = select(
            *(func.coalesce(func.sum(getattr(TrafficCount, name)), 0) for name in _COUNTED)
        ).where(
            TrafficCount.model == model,
            TrafficCount.version_id == version_id,
            TrafficCount.bucket * BUCKET_SECONDS >= db_now() - since,
            (TrafficCount.bucket + 1) * BUCKET_SECONDS <= db_now() - until,
        )
        async with self._db.read() as session:
            row = (await session.execute(statement)).one()
            return TrafficTally(**{name: int(value) for name, value in zip(_COUNTED, row, strict=True)})

    async def prune(self, *, keep_seconds: float) -> None:
        """Delete counts of windows that ended longer ago."""
        old = (TrafficCount.bucket + 1) * BUCKET_SECONDS < db_now() - keep_seconds
        async with self._db.session() as session:
            await session.execute(delete(TrafficCount).where(old))


def _bucket_now(dialect: Dialect) -> ColumnElement[int]:
    # a cast rounds on PostgreSQL; SQLite's cuts, and may have no floor()
    exact = db_now() / BUCKET_SECONDS
    return cast(func.floor(exact) if dialect == "postgresql" else exact, BigInteger)
