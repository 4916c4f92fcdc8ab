"""Schedules, and the jobs that they make: each time due is settled by one process, in one transaction."""

from collections.abc import Awaitable, Callable

from sqlalchemy import delete, func, insert, select, update

from store.clock import db_now
from store.connections import Database, Session
from store.errors import ConflictError, NotFoundError
from store.ids import new_id
from store.models.optimization import Optimization
from store.models.schedule import Schedule
from store.models.schedule_run import ScheduleRun
from store.records.optimizations import OptimizationStatus
from store.records.schedules import (
    RunOutcome,
    RunRecord,
    ScheduleChange,
    ScheduleDraft,
    ScheduleRecord,
    ScheduleStatus,
)
from store.repositories.conflicts import insert_new

MOST_SCHEDULES = 1000
_KEPT_RUNS = 100


class ScheduleRepository:
    """The table of schedules. Times are the database's."""

    def __init__(self, db: Database) -> None:
        """The table in ``db``."""
        self._db = db

    async def now(self) -> float:
        """The database's time."""
        async with self._db.read() as session:
            return float((await session.scalars(select(db_now()))).one())

    async def add(self, draft: ScheduleDraft) -> ScheduleRecord:
        """Add a schedule.

        Raises:
            ConflictError: there are as many as there may be.
        """
        async with self._db.session() as session:
            await self._db.serialise(session, "schedules")
            if (await session.scalar(select(func.count()).select_from(Schedule)) or 0) >= MOST_SCHEDULES:
                raise ConflictError(f"there are {MOST_SCHEDULES} schedules already: delete one first")
            statement = insert(Schedule).values(
                id=new_id("sch"),
                name=draft.name,
                status="off" if draft.due_at is None else "on",
                request=draft.request,
                trigger=draft.trigger,
                due_at=draft.due_at,
                created_by=draft.created_by,
            )
            return _record((await session.scalars(statement.returning(Schedule))).one())

    async def get(self, schedule_id: str) -> ScheduleRecord:
        """One schedule.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.read() as session:
            return _record(_found(await session.get(Schedule, schedule_id), schedule_id))

    async def all(self) -> tuple[ScheduleRecord, ...]:
        """All schedules, oldest first."""
        async with self._db.read() as session:
            rows = await session.scalars(select(Schedule).order_by(Schedule.created_at, Schedule.id))
            return tuple(_record(row) for row in rows)

    async def change(
        self, schedule_id: str, decide: Callable[[ScheduleRecord, float], ScheduleChange]
    ) -> ScheduleRecord:
        """Change a schedule while nobody else does; what ``decide`` leaves out is not written.

        Args:
            schedule_id: which one.
            decide: from the schedule as it is and the time now to what becomes of it.

        Raises:
            NotFoundError: there is none.
        """
        locked = select(Schedule).where(Schedule.id == schedule_id).with_for_update()
        async with self._db.session() as session:
            row = _found(await session.scalar(locked), schedule_id)
            now = float((await session.scalars(select(db_now()))).one())
            change = decide(_record(row), now)
            given = {"name": change.name, "request": change.request, "trigger": change.trigger}
            values: dict[str, object] = {name: value for name, value in given.items() if value is not None}
            if change.due is not None:
                values |= {"due_at": change.due.at, "status": "off" if change.due.at is None else "on"}
            if not values:
                return _record(row)
            statement = update(Schedule).where(Schedule.id == schedule_id).values(**values)
            return _record((await session.scalars(statement.returning(Schedule))).one())

    async def delete(self, schedule_id: str) -> None:
        """Delete a schedule; the jobs that it has made stay.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.session() as session:
            row = await session.scalar(select(Schedule).where(Schedule.id == schedule_id).with_for_update())
            _found(row, schedule_id)
            await session.execute(delete(ScheduleRun).where(ScheduleRun.schedule_id == schedule_id))
            await session.execute(delete(Schedule).where(Schedule.id == schedule_id))

    async def runs(self, schedule_id: str) -> tuple[RunRecord, ...]:
        """What has come of a schedule, newest first.

        Raises:
            NotFoundError: there is none.
        """
        statement = select(ScheduleRun).where(ScheduleRun.schedule_id == schedule_id)
        async with self._db.read() as session:
            _found(await session.get(Schedule, schedule_id), schedule_id)
            rows = await session.scalars(statement.order_by(ScheduleRun.due_at.desc()))
            return tuple(
                RunRecord(
                    due_at=row.due_at,
                    outcome=RunOutcome(row.outcome),
                    job_id=row.job_id,
                    reason=row.reason,
                    at=row.at,
                )
                for row in rows
            )

    async def due(self) -> tuple[ScheduleRecord, ...]:
        """Schedules that are due, those that have waited longest first."""
        statement = (
            select(Schedule)
            .where(Schedule.due_at.is_not(None), Schedule.due_at <= db_now())
            .order_by(Schedule.due_at, Schedule.id)
        )
        async with self._db.read() as session:
            return tuple(_record(row) for row in await session.scalars(statement))

    async def is_due(self, schedule: ScheduleRecord) -> bool:
        """Whether the time of ``schedule`` is still to be settled."""
        statement = select(Schedule.id).where(Schedule.id == schedule.id, Schedule.due_at == schedule.due_at)
        async with self._db.read() as session:
            return await session.scalar(statement) is not None

    async def unfinished_job(self, schedule: ScheduleRecord) -> str | None:
        """The id of the job that the schedule made last, if that has not ended."""
        if schedule.last_job_id is None:
            return None
        ended = [status.value for status in OptimizationStatus if status.is_final]
        statement = select(Optimization.id).where(
            Optimization.id == schedule.last_job_id, Optimization.status.not_in(ended)
        )
        async with self._db.read() as session:
            found: str | None = await session.scalar(statement)
            return found

    async def settle(
        self,
        schedule: ScheduleRecord,
        *,
        next_due: float,
        outcome: RunOutcome | None,
        reason: str | None = None,
        make: Callable[[Session], Awaitable[str]] | None = None,
    ) -> bool:
        """Settle the time at which ``schedule`` is due, unless somebody else has: all of it or nothing.

        Args:
            schedule: as it was found to be due.
            next_due: when it is looked at next.
            outcome: what is recorded; None records no run, only the reason as a note.
            reason: why no job was made, or what was found.
            make: makes the job in the transaction that is given; its id.

        Returns:
            Whether it was ours to settle.
        """
        locked = (
            select(Schedule)
            .where(Schedule.id == schedule.id, Schedule.due_at == schedule.due_at)
            .with_for_update(skip_locked=True)
        )
        async with self._db.session() as session:
            row = await session.scalar(locked)
            if row is None or row.due_at is None:
                return False
            job_id = None if make is None else await make(session)
            values: dict[str, object] = {"due_at": next_due, "note": reason}
            if job_id is not None:
                values |= {"last_job_id": job_id, "last_started_at": db_now()}
            await session.execute(update(Schedule).where(Schedule.id == schedule.id).values(**values))
            if outcome is not None:
                await self._add_run(session, schedule, outcome, job_id, reason)
            return True

    async def _add_run(
        self,
        session: Session,
        schedule: ScheduleRecord,
        outcome: RunOutcome,
        job_id: str | None,
        reason: str | None,
    ) -> None:
        await session.execute(
            insert_new(self._db.dialect, ScheduleRun).values(
                schedule_id=schedule.id,
                due_at=schedule.due_at,
                outcome=outcome.value,
                job_id=job_id,
                reason=reason,
            )
        )
        oldest_kept = (
            select(ScheduleRun.due_at)
            .where(ScheduleRun.schedule_id == schedule.id)
            .order_by(ScheduleRun.due_at.desc())
            .offset(_KEPT_RUNS - 1)
            .limit(1)
            .scalar_subquery()
        )
        await session.execute(
            delete(ScheduleRun).where(
                ScheduleRun.schedule_id == schedule.id, ScheduleRun.due_at < oldest_kept
            )
        )


def _found(row: Schedule | None, schedule_id: str) -> Schedule:
    if row is None:
        raise NotFoundError(f"there is no schedule {schedule_id}")
    return row


def _record(row: Schedule) -> ScheduleRecord:
    return ScheduleRecord(
        id=row.id,
        name=row.name,
        status=ScheduleStatus(row.status),
        request=row.request,
        trigger=row.trigger,
        due_at=row.due_at,
        last_job_id=row.last_job_id,
        last_started_at=row.last_started_at,
        note=row.note,
        created_by=row.created_by,
        created_at=row.created_at,
    )
