"""What people ask of a job: cancel, pause, resume, another budget or priority."""

from collections.abc import Callable

from sqlalchemy import update

from store.clock import db_now
from store.connections import Session
from store.errors import JobStateError
from store.job_states import Cause, move
from store.json_values import JsonObject
from store.models.optimization import Optimization
from store.records.optimizations import (
    OptimizationRecord,
    OptimizationStatus,
    PauseCause,
    PauseReason,
)
from store.records.progress import EventDraft
from store.repositories.optimization_rows import (
    CANCEL_REQUESTED_EVENT,
    CHANGED_EVENT,
    PAUSE_REQUESTED_EVENT,
    PAUSED_ON_REQUEST,
    RESUMED_EVENT,
    OptimizationRows,
    change_event,
    finished_event,
    paused_event,
    to_record,
)


class OptimizationControl(OptimizationRows):
    """Requests by people. Each locks the row first, so that what it finds stays true until it is done."""

    async def request_cancel(self, optimization_id: str) -> OptimizationRecord:
        """Ask for the end of an optimization: a waiting one ends at once, a running one at its next beat.

        Returns:
            The optimization as it stands now; unchanged where it is cancelled or about to be.

        Raises:
            NotFoundError: there is no such optimization.
            JobStateError: it has succeeded or failed.
        """
        async with self._db.session() as session:
            row = await self._lock(session, optimization_id)
            status = OptimizationStatus(row.status)
            if row.cancel_requested or status is OptimizationStatus.CANCELLED:
                return to_record(row)
            if status.is_final:
                raise JobStateError(optimization_id, status, "cancelled")
            if status is OptimizationStatus.RUNNING:
                row = await self._write(session, row, cancel_requested=True)
                asked = EventDraft(key=CANCEL_REQUESTED_EVENT, type=CANCEL_REQUESTED_EVENT, body={})
                return await self._announce(session, row, asked)
            row = await self._move(
                session,
                row,
                Cause.CANCELLED,
                cancel_requested=True,
                finished_at=db_now(),
                paused_because=None,
                probe_at=None,
            )
            return await self._announce(session, row, finished_event(row))

    async def request_pause(self, optimization_id: str) -> OptimizationRecord:
        """Ask for a pause: a waiting optimization pauses at once, a running one at its next beat.

        One that is paused because of a backend no longer goes on by itself.

        Returns:
            The optimization as it stands now; unchanged where it is paused on request or about to be.

        Raises:
            NotFoundError: there is no such optimization.
            JobStateError: it has ended, or is about to be cancelled.
        """
        async with self._db.session() as session:
            row = await self._lock(session, optimization_id)
            status = OptimizationStatus(row.status)
            if status.is_final or row.cancel_requested:
                raise JobStateError(optimization_id, _shown(row), "paused")
            reason = PAUSED_ON_REQUEST.to_json()
            if row.pause_requested or (status is OptimizationStatus.PAUSED and row.paused_because == reason):
                return to_record(row)
            if status is OptimizationStatus.RUNNING:
                row = await self._write(session, row, pause_requested=True)
                return await self._announce(session, row, change_event(PAUSE_REQUESTED_EVENT, row))
            if status is OptimizationStatus.PAUSED:
                row = await self._write(session, row, paused_because=reason, probe_at=None)
            else:
                row = await self._move(session, row, Cause.PAUSED, paused_because=reason)
            return await self._announce(session, row, paused_event(row))

    async def resume(self, optimization_id: str) -> OptimizationRecord:
        """Queue a paused optimization, or take back a pause that has not begun.

        Raises:
            NotFoundError: there is no such optimization.
            JobStateError: it is not paused and not about to be.
        """
        return await self._resume(optimization_id, Cause.RESUMED)

    async def resume_after_backend(self, optimization_id: str) -> OptimizationRecord:
        """Queue an optimization whose backend answers again.

        Raises:
            NotFoundError: there is no such optimization.
            JobStateError: it is not paused because of a backend (any more).
        """
        return await self._resume(optimization_id, Cause.BACKEND_BACK)

    async def change(
        self,
        optimization_id: str,
        *,
        limits: Callable[[OptimizationRecord], JsonObject] | None = None,
        priority: int | None = None,
    ) -> OptimizationRecord:
        """Give an optimization that has not ended other limits or another priority.

        Args:
            optimization_id: which one.
            limits: from the optimization as it is to all its limits, in place of those of its spec; None
                changes none. Nobody else changes it meanwhile.
            priority: -100 to 100, higher first; None changes none.

        Raises:
            NotFoundError: there is no such optimization.
            JobStateError: it has ended, or is about to be cancelled.
        """
        async with self._db.session() as session:
            row = await self._lock(session, optimization_id)
            if OptimizationStatus(row.status).is_final or row.cancel_requested:
                raise JobStateError(optimization_id, _shown(row), "changed")
            changes: JsonObject = {}
            if limits is not None:
                changes["limits"] = limits(to_record(row))
            if priority is not None:
                changes["priority"] = priority
            row = await self._write(session, row, **changes)
            return await self._announce(session, row, change_event(CHANGED_EVENT, row, **changes))

    async def _resume(self, optimization_id: str, cause: Cause) -> OptimizationRecord:
        async with self._db.session() as session:
            row = await self._lock(session, optimization_id)
            because = None if row.paused_because is None else PauseReason.from_json(row.paused_because)
            asked = cause is Cause.RESUMED
            is_stopping = row.status == OptimizationStatus.RUNNING and row.pause_requested
            if asked and is_stopping and not row.cancel_requested:
                row = await self._write(session, row, pause_requested=False)
            elif row.status == OptimizationStatus.PAUSED and (
                asked or (because is not None and because.cause is PauseCause.BACKEND)
            ):
                row = await self._move(session, row, cause, paused_because=None, probe_at=None)
            else:
                raise JobStateError(optimization_id, _shown(row), "resumed")
            return await self._announce(session, row, change_event(RESUMED_EVENT, row, by=cause.value))

    async def _move(
        self, session: Session, row: Optimization, cause: Cause, **values: object
    ) -> Optimization:
        statement = move(cause).where(Optimization.id == row.id).values(**values)
        return (await session.scalars(statement.returning(Optimization))).one()

    async def _write(self, session: Session, row: Optimization, **values: object) -> Optimization:
        statement = update(Optimization).where(Optimization.id == row.id).values(**values)
        return (await session.scalars(statement.returning(Optimization))).one()


def _shown(row: Optimization) -> str:
    return "about to be cancelled" if row.cancel_requested and row.status == "running" else row.status
