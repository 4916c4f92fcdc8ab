"""Appending events to an optimization's log: numbered under the row's lock, so that no reader skips one."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, func, insert, select, update

from store.models.base import StoredJson
from store.models.optimization import Optimization
from store.models.optimization_event import OptimizationEvent
from store.records.progress import EventDraft
from store.statements import Statement
from store.webhook_outbox import add_deliveries

# Statements are built once: there is a batch for every few events.
_OF_ID: Final = select(OptimizationEvent.key).where(OptimizationEvent.optimization_id == bindparam("of_id"))
_KEYS_ON_SQLITE: Final = func.json_each(bindparam("keys", type_=StoredJson())).table_valued("value")
# PostgreSQL looks listed values up in the index; of a function's it does not know how few they are
_KNOWN: Final = Statement(
    _OF_ID.where(OptimizationEvent.key.in_(bindparam("keys", expanding=True))),
    on_sqlite=_OF_ID.where(OptimizationEvent.key.in_(select(_KEYS_ON_SQLITE.c.value))),
)
_APPEND: Final = Statement(
    insert(OptimizationEvent), columns=("optimization_id", "seq", "key", "type", "body")
)
_ADVANCE: Final = Statement(
    update(Optimization)
    .where(Optimization.id == bindparam("of_id"))
    .values(next_seq=bindparam("new_next_seq"))
)


def append_events(
    connection: Connection, optimization_id: str, next_seq: int, drafts: Sequence[EventDraft]
) -> int:
    """Append those of ``drafts`` whose key is new, in order, and queue what webhooks are told of them.

    The caller holds the optimization's row lock.

    Returns:
        How many were new.
    """
    wanted: dict[str, EventDraft] = {}
    for draft in drafts:
        wanted.setdefault(draft.key, draft)
    for key in _known(connection, optimization_id, wanted):
        del wanted[key]
    if not wanted:
        return 0
    rows = [
        {
            "optimization_id": optimization_id,
            "seq": seq,
            "key": draft.key,
            "type": draft.type,
            "body": draft.body,
        }
        for seq, draft in enumerate(wanted.values(), start=next_seq)
    ]
    advanced = {"of_id": optimization_id, "new_next_seq": next_seq + len(rows)}
    _APPEND.execute(connection, rows)
    _ADVANCE.execute(connection, [advanced])
    add_deliveries(connection, optimization_id, list(wanted.values()))
    return len(rows)


def _known(connection: Connection, optimization_id: str, keys: Iterable[str]) -> list[str]:
    """Those of ``keys`` that the log has."""
    return [key for (key,) in _KNOWN.rows(connection, {"of_id": optimization_id, "keys": list(keys)})]
