"""Appending events to an optimization's log: numbered under the row's lock, so that no reader skips one."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from store.models.optimization import Optimization
from store.models.optimization_event import OptimizationEvent
from store.records.progress import EventDraft


def append_events(
    connection: Connection, optimization_id: str, next_seq: int, drafts: Sequence[EventDraft]
) -> int:
    """Append those of ``drafts`` whose key is new, in order. The caller holds the optimization's row lock.

    Returns:
        How many were new.
    """
    wanted: dict[str, EventDraft] = {}
    for draft in drafts:
        wanted.setdefault(draft.key, draft)
    known = connection.scalars(
        select(OptimizationEvent.key).where(
            OptimizationEvent.optimization_id == optimization_id, OptimizationEvent.key.in_(wanted)
        )
    )
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
    connection.execute(insert(OptimizationEvent), rows)
    connection.execute(
        update(Optimization).where(Optimization.id == optimization_id).values(next_seq=next_seq + len(rows))
    )
    return len(rows)
