"""Counts of arms: added to in batches, read as sums."""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Final

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from store.connections import Database, Dialect
from store.models.release import Release
from store.models.release_change import ReleaseChange
from store.models.release_count import ReleaseCount
from store.records.releases import ArmKey, ArmTally

_MICROS: Final = 1_000_000
_COUNTED: Final = tuple(item.name for item in fields(ArmTally))
_KEY: Final = tuple(item.name for item in fields(ArmKey))


class ReleaseCountRepository:
    """The table of counts."""

    def __init__(self, db: Database) -> None:
        """The table in ``db``."""
        self._db = db

    async def add(self, tallies: Mapping[ArmKey, ArmTally]) -> None:
        """Add what was counted; what belongs to a release that has ended is dropped."""

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


def _begun(connection: Connection, models: set[str]) -> dict[str, int]:
    """The first stretch that may belong to the release of each model that has one; none ends meanwhile."""
    ended = select(func.max(ReleaseChange.at)).where(
        ReleaseChange.model == Release.model, ReleaseChange.policy.is_(None)
    )
    statement = select(Release.model, ended.scalar_subquery()).where(Release.model.in_(models))
    locked = statement.order_by(Release.model).with_for_update(read=True, key_share=True, of=Release)
    return {model: int((at or 0.0) * _MICROS) for model, at in connection.execute(locked)}


def add_counts(connection: Connection, dialect: Dialect, tallies: Mapping[ArmKey, ArmTally]) -> None:
    """Add to the counts of arms, in a transaction of somebody; those of releases that have ended are dropped.

    A request may end after the release that chose its version, and its rater may change their mind after it:
    what was forgotten must not come back, also not for a later release of the same model.
    """
    if not tallies:
        return
    new_row = postgresql.insert if dialect == "postgresql" else sqlite.insert
    table = ReleaseCount.__table__
    # in one order for everybody: two processes must not wait for each other's rows
    begun = _begun(connection, {key.model for key in tallies})
    for key in sorted(tallies, key=lambda key: (key.model, key.stretch, key.arm, key.version_id)):
        if key.stretch < begun.get(key.model, math.inf):
            continue
        statement = new_row(ReleaseCount).values(**asdict(key), **asdict(tallies[key]))
        both = {name: table.c[name] + statement.excluded[name] for name in _COUNTED}
        connection.execute(statement.on_conflict_do_update(index_elements=list(_KEY), set_=both))
