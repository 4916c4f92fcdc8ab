"""The cache of criterion selections, and what each optimization has taken from it."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from store.connections import Database
from store.errors import LostLeaseError
from store.fencing import held_seq
from store.json_values import JsonObject
from store.models.criterion_selection import CriterionSelection
from store.models.optimization_selection import OptimizationSelection
from store.records.optimizations import Lease
from store.repositories.conflicts import insert_new


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionKey:
    """What a selection depends on; ``query_sha256`` is that of the query's text, in hex."""

    query_sha256: str
    selector_model: str
    template_version: str

    @property
    def primary_key(self) -> tuple[str, str, str]:
        """The row's key."""
        return self.query_sha256, self.selector_model, self.template_version

    @property
    def columns(self) -> dict[str, str]:
        """The row's key by column."""
        return {
            "query_sha": self.query_sha256,
            "selector_model": self.selector_model,
            "template_version": self.template_version,
        }


class SelectionRepository:
    """Selections by query, selector model and template version. The first one stays."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(self, key: SelectionKey) -> JsonObject | None:
        """The selection for ``key``, or None."""
        async with self._db.read() as session:
            row = await session.get(CriterionSelection, key.primary_key)
            return None if row is None else row.selection

    async def add(self, key: SelectionKey, selection: JsonObject) -> JsonObject:
        """Remember ``selection``, unless somebody was faster.

        Returns:
            What is remembered now, so that all who ask about a query judge it by the same criteria.
        """
        values = key.columns | {"selection": selection}
        kept = select(CriterionSelection.selection).filter_by(**key.columns)

        def work(connection: Connection) -> JsonObject:
            connection.execute(insert_new(self._db, CriterionSelection), [values])
            found: JsonObject = connection.scalars(kept).one()
            return found

        return await self._db.write(work)

    async def pinned(self, optimization_id: str, key: SelectionKey) -> JsonObject | None:
        """The selection that the optimization uses for ``key``, or None where it has none yet."""
        async with self._db.read() as session:
            row = await session.get(OptimizationSelection, (optimization_id, *key.primary_key))
            return None if row is None else row.selection

    async def pin(self, lease: Lease, key: SelectionKey, selection: JsonObject) -> JsonObject:
        """Have the optimization use ``selection`` for ``key`` from now on, unless it uses another already.

        Returns:
            What it uses.

        Raises:
            LostLeaseError: the lease is not ours any more; nothing was recorded.
        """
        of_key = {"optimization_id": lease.optimization_id} | key.columns
        values = of_key | {"selection": selection}
        kept = select(OptimizationSelection.selection).filter_by(**of_key)

        def work(connection: Connection) -> JsonObject:
            if held_seq(connection, lease, shared=True) is None:
                raise LostLeaseError(lease.optimization_id, lease.fence)
            connection.execute(insert_new(self._db, OptimizationSelection), [values])
            found: JsonObject = connection.scalars(kept).one()
            return found

        return await self._db.write(work)
