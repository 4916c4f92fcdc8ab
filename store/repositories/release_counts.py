"""Counts of arms: added to in batches, read as sums."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from store.connections import Database, Dialect
from store.models.release import Release
from store.models.release_count import ReleaseCount
from store.records.releases import ArmKey, ArmTally

_COUNTED: Final = tuple(item.name for item in fields(ArmTally))
_KEY: Final = tuple(item.name for item in fields(ArmKey))


class ReleaseCountRepository:
    """The table of counts."""

    def __init__(self, db: Database) -> None:
        """The table in ``db``."""
        self._db = db

    async def add(self, tallies: Mapping[ArmKey, ArmTally]) -> None:
        """Add what was counted; what belongs to a model without a release is dropped."""

        def work(connection: Connection) -> None:
            add_counts(connection, self._db.dialect, tallies)

        await self._db.write(work)

    async def of(self, model: str, stretch: int | None = None) -> dict[ArmKey, ArmTally]:
        """The counts of a model's arms: in one stretch, or in all."""
        statement = select(ReleaseCount).where(ReleaseCount.model == model)
        if stretch is not None:
            statement = statement.where(ReleaseCount.stretch == stretch)
        async with self._db.read() as session:
            rows = await session.scalars(statement)
            return {
                ArmKey(**{name: getattr(row, name) for name in _KEY}): ArmTally(
                    **{name: getattr(row, name) for name in _COUNTED}
                )
                for row in rows
            }


def add_counts(connection: Connection, dialect: Dialect, tallies: Mapping[ArmKey, ArmTally]) -> None:
    """Add to the counts of arms, in a transaction of somebody; those of models without a release are dropped.

    A request may end after the release that chose its version: what it counts must not come back.
    """
    if not tallies:
        return
    new_row = postgresql.insert if dialect == "postgresql" else sqlite.insert
    table = ReleaseCount.__table__
    # in one order for everybody: two processes must not wait for each other's rows
    of_models = select(Release.model).where(Release.model.in_({key.model for key in tallies}))
    locked = of_models.order_by(Release.model).with_for_update(read=True, key_share=True)
    released = set(connection.execute(locked).scalars())
    for key in sorted(tallies, key=lambda key: (key.model, key.stretch, key.arm, key.version_id)):
        if key.model not in released:
            continue
        statement = new_row(ReleaseCount).values(**asdict(key), **asdict(tallies[key]))
        both = {name: table.c[name] + statement.excluded[name] for name in _COUNTED}
        connection.execute(statement.on_conflict_do_update(index_elements=list(_KEY), set_=both))
