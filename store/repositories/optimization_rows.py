"""Rows of optimizations: as records, locked, and announced."""

from dataclasses import replace
from typing import Final, TypeAlias

from sqlalchemy import Connection, Select, select

from store.connections import Database, Session
from store.errors import NotFoundError
from store.event_log import append_events
from store.models.optimization import Optimization
from store.records.optimizations import (
    JobKind,
    OptimizationError,
    OptimizationRecord,
    OptimizationStatus,
    PauseCause,
    PauseReason,
)
from store.records.progress import EventDraft
from store.statements import NamedRow

STARTED_EVENT = "optimization_started"
CANCEL_REQUESTED_EVENT = "optimization_cancel_requested"
PAUSE_REQUESTED_EVENT = "optimization_pause_requested"
PAUSED_EVENT = "optimization_paused"
RESUMED_EVENT = "optimization_resumed"
CHANGED_EVENT = "optimization_changed"
FINISHED_EVENT = "optimization_finished"

PAUSED_ON_REQUEST: Final = PauseReason(cause=PauseCause.REQUESTED, message="somebody asked for it")
_FOR_WORKERS = frozenset({CANCEL_REQUESTED_EVENT, PAUSE_REQUESTED_EVENT, RESUMED_EVENT, CHANGED_EVENT})
"""Something is asked of the owner, or waits for one."""


AnyRow: TypeAlias = Optimization | NamedRow
"""All columns of an optimization, as its entity or as a connection without a session finds them."""


class OptimizationRows:
    """What all operations on the table share."""

    def __init__(self, db: Database) -> None:
        """The table in ``db``."""
        self._db = db

    async def _announce(self, session: Session, row: AnyRow, event: EventDraft) -> OptimizationRecord:
        """As ``announce``; those who wait hear of it."""
        connection = await session.connection()
        record = await connection.run_sync(announce, row, event)
        self._db.touch(session, record.id, for_workers=event.type in _FOR_WORKERS)
        return record

    async def _lock(self, session: Session, optimization_id: str) -> Optimization:
        """The row, which nobody else changes before the transaction ends.

        Raises:
            NotFoundError: there is no such optimization.
        """
        row = await session.scalar(_existing(optimization_id).with_for_update())
        return found(row, optimization_id)


def _existing(optimization_id: str) -> Select[Optimization]:
    return select(Optimization).where(Optimization.id == optimization_id)


def announce(connection: Connection, row: AnyRow, event: EventDraft) -> OptimizationRecord:
    """Append ``event`` in the transaction that makes it true, after which ``row`` is as it says here.

    Whoever commits tells those who wait.
    """
    added = append_events(connection, row.id, row.next_seq, [event])
    record = to_record(row)
    return replace(record, last_seq=record.last_seq + added)


def change_event(kind: str, row: AnyRow, **body: object) -> EventDraft:
    """An event that may come several times; it is true once for each number."""
    return EventDraft(key=f"{kind}:{row.next_seq}", type=kind, body=body)  # type: ignore[arg-type]


def paused_event(row: AnyRow) -> EventDraft:
    """The job of ``row`` is paused now."""
    return change_event(PAUSED_EVENT, row, **(row.paused_because or {}))


def finished_event(row: AnyRow) -> EventDraft:
    """The job of ``row`` has ended; there is one such event."""
    return EventDraft(
        key=FINISHED_EVENT, type=FINISHED_EVENT, body={"status": row.status, "error": row.error}
    )


def found(row: Optimization | None, optimization_id: str, kind: JobKind | None = None) -> Optimization:
    """``row``, if it is there, not deleted, and of this ``kind``.

    Raises:
        NotFoundError: it is not.
    """
    if row is None or row.deleted_at is not None or (kind is not None and row.kind != kind.value):
        what = "example bank" if kind is JobKind.EXAMPLE_BANK else "optimization"
        raise NotFoundError(f"there is no {what} {optimization_id}")
    return row


def to_record(row: AnyRow) -> OptimizationRecord:
    """``row`` as a value."""
    error, reason = row.error, row.paused_because
    return OptimizationRecord(
        id=row.id,
        kind=JobKind(row.kind),
        spec=row.spec,
        target=row.target,
        status=OptimizationStatus(row.status),
        owner=row.owner,
        fence=row.fence,
        cancel_requested=row.cancel_requested,
        pause_requested=row.pause_requested,
        paused_because=None if reason is None else PauseReason.from_json(reason),
        probe_at=row.probe_at,
        priority=row.priority,
        limits=row.limits,
        request_hash=row.request_hash,
        derived_from=row.derived_from,
        schedule_id=row.schedule_id,
        spec_version=row.spec_version,
        software=row.software,
        last_seq=row.next_seq - 1,
        error=None if error is None else OptimizationError(code=error["code"], message=error["message"]),
        result=row.result,
        elapsed_seconds=row.elapsed_seconds,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
