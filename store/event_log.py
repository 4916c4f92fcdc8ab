"""Appending events to an optimization's log: numbered under the row's lock, so that no reader skips one."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update

from store.models.optimization import Optimization
from store.models.optimization_event import OptimizationEvent
from store.records.progress import EventDraft
from store.webhook_outbox import add_deliveries

# Statements are built once: there is a batch for every few events.
_KNOWN: Final = select(OptimizationEvent.key).where(
    OptimizationEvent.optimization_id == bindparam("of_id"),
    OptimizationEvent.key.in_(bindparam("keys", expanding=True)),
)
_APPEND: Final = insert(OptimizationEvent)
_ADVANCE: Final = update(Optimization).where(Optimization.id == bindparam("of_id"))


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
    known = connection.scalars(_KNOWN, {"of_id": optimization_id, "keys": list(wanted)})
    for key in known:
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
    connection.execute(_APPEND, rows)
    connection.execute(_ADVANCE, {"of_id": optimization_id, "next_seq": next_seq + len(rows)})
    add_deliveries(connection, optimization_id, list(wanted.values()))
    return len(rows)
