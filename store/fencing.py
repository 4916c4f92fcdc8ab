"""Checking, inside a transaction, that an optimization is still ours."""

from typing import Final

from sqlalchemy import Connection, bindparam, select

from store.models.optimization import Optimization
from store.records.optimizations import Lease
from store.statements import Statement

_NEXT_SEQ: Final = select(Optimization.next_seq).where(
    Optimization.id == bindparam("of_id"),
    Optimization.fence == bindparam("of_fence"),
    Optimization.status == "running",
)
# built once: every batch of the call ledger begins with one
_HOLD: Final = Statement(_NEXT_SEQ.with_for_update())
_HOLD_SHARED: Final = Statement(_NEXT_SEQ.with_for_update(read=True))


def held_seq(connection: Connection, lease: Lease, *, shared: bool = False) -> int | None:
    """Lock the row of ``lease`` until the transaction ends, so that nobody can take it over meanwhile.

    Args:
        connection: in a write transaction.
        lease: what we believe to hold.
        shared: let others hold it, too; for writers that do not change the row.

    Returns:
        The number that the next event gets; None where the fence has moved on, or the optimization has ended.
    """
    row = {"of_id": lease.optimization_id, "of_fence": lease.fence}
    next_seq: int | None = (_HOLD_SHARED if shared else _HOLD).scalar(connection, row)
    return next_seq
