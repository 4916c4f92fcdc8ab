"""The cache of criterion selections, and what each optimization has taken from it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from sqlalchemy import Connection, Row, String, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from store.connections import Database
from store.errors import LostLeaseError
from store.fencing import held_seq
from store.json_values import JsonObject, quick_json
from store.models.base import StoredJson
from store.models.criterion_selection import CriterionSelection
from store.models.optimization_selection import OptimizationSelection
from store.records.optimizations import Lease
from store.repositories.conflicts import NewRows
from store.statements import Statement

T = TypeVar("T")
Usable: TypeAlias = Callable[[JsonObject], bool]
"""Whether a job can use a selection that another has made."""
_REMEMBERED: Final = 5_000


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
_OF_KIND: Final = select(CriterionSelection.query_sha, CriterionSelection.selection).where(
    CriterionSelection.selector_model == bindparam("selector_model"),
    CriterionSelection.template_version == bindparam("template_version"),
)
_LISTED: Final = func.json_each(bindparam("query_shas", type_=StoredJson)).table_valued("value")
_SHARED_OF_KIND: Final = Statement(
    _OF_KIND.where(CriterionSelection.query_sha == any_(bindparam("query_shas", type_=ARRAY(String)))),
    on_sqlite=_OF_KIND.where(CriterionSelection.query_sha.in_(select(_LISTED.c.value))),
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


class LedgerTransactions(Protocol):
    """Transactions of a call ledger, which others' work can be done in as well: after all answers so far."""

    async def within(self, place: str, work: Callable[[Connection], T], /) -> T:
        """What ``work`` gives, once it is durable. Of several, that with the least ``place`` comes first."""
        ...

    def accompany(self, place: str, work: Callable[[Connection], object], /) -> None:
        """As ``within``, without waiting: it is durable before any later call is made."""
        ...


class SelectionRepository:
    """Selections by query, selector model and template version. The first one stays.

    Share one instance in a process: on SQLite it decides for all jobs, which run in one process there.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._decided: dict[SelectionKey, JsonObject] = {}

    async def find_all(self, keys: Collection[SelectionKey]) -> dict[SelectionKey, JsonObject]:
        """What is shared under those of ``keys`` that have a selection; they differ in the query alone."""
        (kind,) = {(key.selector_model, key.template_version) for key in keys}
        asked = {
            "query_shas": [key.query_sha256 for key in keys],
            "selector_model": kind[0],
            "template_version": kind[1],
        }
        rows = await self._db.fetch(lambda connection: _SHARED_OF_KIND.rows(connection, asked))
        of_query = {key.query_sha256: key for key in keys}
        return {of_query[sha]: selection for sha, selection in rows}

    def decided(self, key: SelectionKey) -> JsonObject | None:
        """What ``decide`` has said, as long as it is remembered."""
        return self._decided.get(key)

    def decide(self, key: SelectionKey, selection: JsonObject, usable: Usable) -> JsonObject | None:
        """Which selection a job uses for ``key``: the first that a job of this process had decided on.

        Args:
            key: what is selected for.
            selection: what the job would use; nothing is shared in the database under ``key`` that it can.
            usable: whether it can use what another job has decided on.

        Returns:
            What it is to use; None where other processes run jobs as well, and only the database can tell.

        Raises:
            ValueError: ``selection`` is not JSON.
        """
        quick_json(selection)
        if self._db.dialect != "sqlite":
            return None
        first = self._decided.setdefault(key, selection)
        if len(self._decided) > _REMEMBERED:
            del self._decided[next(iter(self._decided))]  # the oldest
        return first if usable(first) else selection

    async def pins(self, optimization_id: str) -> dict[SelectionKey, JsonObject]:
        """The selections that the optimization uses."""
        of_this = select(OptimizationSelection).where(
            OptimizationSelection.optimization_id == optimization_id
        )
        rows = await self._db.fetch(lambda connection: connection.execute(of_this).all())
        return {_key(row): row.selection for row in rows}

    def pin_with(
        self,
        ledger: LedgerTransactions,
        lease: Lease,
        key: SelectionKey,
        selection: JsonObject,
        *,
        share: bool,
    ) -> None:
        """Have the optimization use ``selection`` for ``key`` from now on, where it is known that it does.

        It does not wait: see ``LedgerTransactions.accompany``.

        Args:
            ledger: of the optimization; its transactions write under the lease.
            lease: the optimization's, which has pinned nothing for ``key``.
            key: what is selected for.
            selection: what to use.
            share: share it with other optimizations, unless another is shared already.

        Raises:
            ValueError: ``selection`` is not JSON.
        """
        quick_json(selection)  # what others write in this transaction must not fail for it
        row: dict[str, object] = {**key.columns, "selection": selection}

        def work(connection: Connection) -> None:
            if share:
                _NEW_SHARED.add(connection, [row])
            _NEW_PINNED.add(connection, [{"optimization_id": lease.optimization_id, **row}])

        ledger.accompany(_place(key), work)

    async def pin(
        self,
        lease: Lease,
        key: SelectionKey,
        selection: JsonObject,
        *,
        shared_if: Usable | None = None,
        ledger: LedgerTransactions | None = None,
    ) -> JsonObject:
        """Have the optimization use a selection for ``key`` from now on, unless it uses another already.

        Args:
            lease: the optimization's.
            key: what is selected for.
            selection: what to use.
            shared_if: share the selection with other optimizations, so that all judge a query by the same
                criteria; where another one was faster and this says yes to what it has shared, that is used
                instead. None shares nothing.
            ledger: in whose transactions to do it, under ``lease``; None for one of its own.

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

        if ledger is None:
            return await self._db.write(work_alone)
        return await ledger.within(_place(key), work)


def _place(key: SelectionKey) -> str:
    return "\n".join(key.columns.values())


def _shared(connection: Connection, key: SelectionKey) -> JsonObject | None:
    found: JsonObject | None = _SHARED.scalar(connection, key.columns)
    return found


def _key(row: Row[*tuple[Any, ...]]) -> SelectionKey:
    return SelectionKey(
        query_sha256=row.query_sha,
        selector_model=row.selector_model,
        template_version=row.template_version,
    )
