"""The cache of criterion selections, and what each optimization has taken from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection, Row, bindparam, select

from store.connections import Database
from store.errors import LostLeaseError
from store.fencing import held_seq
from store.json_values import JsonObject, quick_json
from store.models.criterion_selection import CriterionSelection
from store.models.optimization_selection import OptimizationSelection
from store.records.optimizations import Lease
from store.repositories.conflicts import NewRows
from store.statements import Statement

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionKey:
    """What a selection depends on; ``query_sha256`` is that of the query's text, in hex."""

    query_sha256: str
    selector_model: str
    template_version: str

    @property
    def columns(self) -> dict[str, str]:
        """The row's key by column."""
        return {
            "query_sha": self.query_sha256,
            "selector_model": self.selector_model,
            "template_version": self.template_version,
        }


_SHARED: Final = Statement(
    select(CriterionSelection.selection).where(
        CriterionSelection.query_sha == bindparam("query_sha"),
        CriterionSelection.selector_model == bindparam("selector_model"),
        CriterionSelection.template_version == bindparam("template_version"),
    )
)
_PINNED: Final = Statement(
    select(OptimizationSelection.selection).where(
        OptimizationSelection.optimization_id == bindparam("optimization_id"),
        OptimizationSelection.query_sha == bindparam("query_sha"),
        OptimizationSelection.selector_model == bindparam("selector_model"),
        OptimizationSelection.template_version == bindparam("template_version"),
    )
)
_KEY_COLUMNS: Final = ("query_sha", "selector_model", "template_version", "selection")
# Statements are built once: each query of each job is looked up and pinned.
_NEW_SHARED: Final = NewRows(CriterionSelection, _KEY_COLUMNS)
_NEW_PINNED: Final = NewRows(OptimizationSelection, ("optimization_id", *_KEY_COLUMNS))


class Within(Protocol):
    """Runs work in a transaction that others write in as well."""

    async def __call__(self, place: str, work: Callable[[Connection], T], /) -> T:
        """What ``work`` gives, once it is durable. Of several, that with the least ``place`` comes first."""
        ...


class SelectionRepository:
    """Selections by query, selector model and template version. The first one stays."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(self, key: SelectionKey) -> JsonObject | None:
        """The selection for ``key``, or None."""
        return await self._db.fetch(lambda connection: _shared(connection, key))

    async def pins(self, optimization_id: str) -> dict[SelectionKey, JsonObject]:
        """The selections that the optimization uses."""
        of_this = select(OptimizationSelection).where(
            OptimizationSelection.optimization_id == optimization_id
        )
        rows = await self._db.fetch(lambda connection: connection.execute(of_this).all())
        return {_key(row): row.selection for row in rows}

    async def pin(
        self,
        lease: Lease,
        key: SelectionKey,
        selection: JsonObject,
        *,
        shared_if: Callable[[JsonObject], bool] | None = None,
        within: Within | None = None,
    ) -> JsonObject:
        """Have the optimization use a selection for ``key`` from now on, unless it uses another already.

        Args:
            lease: the optimization's.
            key: what is selected for.
            selection: what to use.
            shared_if: share the selection with other optimizations, so that all judge a query by the same
                criteria; where another one was faster and this says yes to what it has shared, that is used
                instead. None shares nothing.
            within: the transaction to do it in, under ``lease``; None for one of its own.

        Returns:
            What it uses.

        Raises:
            LostLeaseError: the lease is not ours any more; nothing was recorded.
            ValueError: ``selection`` is not JSON.
        """
        quick_json(selection)  # what others write in this transaction must not fail for it
        of_key = {"optimization_id": lease.optimization_id} | key.columns

        def work(connection: Connection) -> JsonObject:
            wanted = selection
            if shared_if is not None:
                _NEW_SHARED.add(connection, [key.columns | {"selection": selection}])
                shared = _shared(connection, key)
                wanted = shared if shared is not None and shared_if(shared) else selection
            _NEW_PINNED.add(connection, [of_key | {"selection": wanted}])
            pinned: JsonObject = _PINNED.scalar(connection, of_key)
            return pinned

        def work_alone(connection: Connection) -> JsonObject:
            if held_seq(connection, lease, shared=True) is None:
                raise LostLeaseError(lease.optimization_id, lease.fence)
            return work(connection)

        if within is None:
            return await self._db.write(work_alone)
        return await within("\n".join(key.columns.values()), work)


def _shared(connection: Connection, key: SelectionKey) -> JsonObject | None:
    found: JsonObject | None = _SHARED.scalar(connection, key.columns)
    return found


def _key(row: Row[*tuple[Any, ...]]) -> SelectionKey:
    return SelectionKey(
        query_sha256=row.query_sha,
        selector_model=row.selector_model,
        template_version=row.template_version,
    )
