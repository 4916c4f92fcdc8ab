"""The lease that decides who may work on an optimization.

All times are the database's. At most one owner holds a valid fence at any moment; whoever takes over gets a
higher one, and everything that an older owner still tries to write is refused.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    bindparam,
    select,
    update,
)

from store.clock import db_now
from store.connections import Session
from store.errors import LostLeaseError
from store.hints import send_hint
from store.job_states import ENDINGS, Cause, move
from store.json_values import JsonObject
from store.models.base import StoredJson
from store.models.optimization import Optimization
from store.records.optimizations import (
    Beat,
    BeatResult,
    Lease,
    OptimizationError,
    OptimizationRecord,
    OptimizationStatus,
    PauseReason,
)
from store.repositories.optimization_rows import (
    PAUSED_ON_REQUEST,
    OptimizationRows,
    announce,
    finished_event,
    paused_event,
    to_record,
)
from store.statements import Statement

_JUST_ENDED: Final = db_now() - 0.01
"""Not long ago: other software leaves the job to workers of its own kind for a while."""
_IS_OURS: Final = (
    Optimization.id == bindparam("of_id"),
    Optimization.owner == bindparam("of_owner"),
    Optimization.fence == bindparam("of_fence"),
)
_IS_HELD: Final = (*_IS_OURS, Optimization.status == "running")
# built once: each job beats every second
_BEAT: Final = Statement(
    update(Optimization)
    .where(*_IS_HELD)
    .values(
        lease_until=db_now() + bindparam("ttl"),
        elapsed_seconds=Optimization.elapsed_seconds + bindparam("worked"),
    )
    .returning(Optimization.cancel_requested, Optimization.pause_requested, Optimization.limits)
)
_ENDS: Final = {
    status: Statement(
        move(cause)
        .where(*_IS_OURS)
        .values(
            result=bindparam("new_result", type_=StoredJson()),
            error=bindparam("new_error", type_=StoredJson()),
            lease_until=None,
            finished_at=db_now(),
            elapsed_seconds=Optimization.elapsed_seconds + bindparam("worked"),
        )
        .returning(Optimization)
    )
    for status, cause in ENDINGS.items()
}
_HELD_ROW: Final = select(Optimization).where(*_IS_HELD).with_for_update()


class OptimizationLeases(OptimizationRows):
    """Keeping jobs, and giving them back or to their end."""

    async def beat(self, lease: Lease, *, ttl: float, elapsed: float = 0.0) -> Beat:
        """Keep the lease for another ``ttl`` seconds, and add ``elapsed`` seconds of work.

        A lease that has run out is kept, too, as long as nobody else has taken it.
        """
        beat = {**_of(lease), "ttl": ttl, "worked": elapsed}

        def work(connection: Connection) -> Beat:
            row = _beat(connection, beat)
            if row is None:
                return Beat(result=BeatResult.LOST)
            cancel_requested, pause_requested, limits = row
            if cancel_requested:
                return Beat(result=BeatResult.CANCEL_REQUESTED, limits=limits)
            result = BeatResult.PAUSE_REQUESTED if pause_requested else BeatResult.HELD
            return Beat(result=result, limits=limits)

        return await self._db.write(work, beat=True)

    async def release(self, lease: Lease, *, elapsed: float = 0.0) -> bool:
        """Give the lease back without ending the optimization: the next owner need not wait.

        Returns:
            Whether the lease was still ours.
        """
        statement = (
            update(Optimization)
            .where(*_IS_HELD)
            .values(lease_until=_JUST_ENDED, elapsed_seconds=Optimization.elapsed_seconds + elapsed)
            .returning(Optimization.id)
        )

        def work(connection: Connection) -> bool:
            if connection.scalar(statement, _of(lease)) is None:
                return False
            send_hint(connection, lease.optimization_id, for_workers=True)
            return True

        released = await self._db.write(work, beat=True)
        if released:
            self._db.wakeups.notify(lease.optimization_id, for_workers=True)
        return released

    async def finish(
        self,
        lease: Lease,
        status: OptimizationStatus,
        *,
        result: JsonObject | None = None,
        error: OptimizationError | None = None,
        elapsed: float = 0.0,
        before: Callable[[Connection], JsonObject] | None = None,
    ) -> OptimizationRecord:
        """End the optimization, and announce it.

        Args:
            lease: ours.
            status: a final one.
            result: what came out of it.
            error: why it failed.
            elapsed: seconds of work to add.
            before: what the same transaction does first, such as adding the prompt version; what it returns
                joins the result.

        Raises:
            LostLeaseError: it is not ours any more.
            ValueError: ``status`` is not final.
        """
        if status not in _ENDS:
            raise ValueError(f"{status} does not end an optimization")

        def work(connection: Connection) -> OptimizationRecord:
            values: dict[str, object] = {
                **_of(lease),
                "new_result": result if before is None else {**(result or {}), **before(connection)},
                "new_error": None if error is None else {"code": error.code, "message": error.message},
                "worked": elapsed,
            }
            row = _ENDS[status].first(connection, values)
            if row is None:
                raise LostLeaseError(lease.optimization_id, lease.fence)
            record = announce(connection, row, finished_event(row))
            send_hint(connection, lease.optimization_id)
            return record

        ended = await self._db.write(work)
        self._db.wakeups.notify(lease.optimization_id)
        return ended

    async def pause(self, lease: Lease, *, elapsed: float = 0.0) -> OptimizationRecord:
        """The work has stopped because a pause was asked for: the lease is free, nothing is lost.

        Where the pause has been taken back meanwhile, the next worker goes on at once.

        Raises:
            LostLeaseError: it is not ours any more.
        """
        return await self._pause(lease, Cause.PAUSED, PAUSED_ON_REQUEST, probe_at=None, elapsed=elapsed)

    async def pause_for_backend(
        self, lease: Lease, reason: PauseReason, *, probe_in: float, elapsed: float = 0.0
    ) -> OptimizationRecord:
        """The work has stopped because a backend is away; the job waits until a probe succeeds.

        A pause that somebody has asked for meanwhile is theirs to end, and a cancellation ends the job.

        Args:
            lease: ours.
            reason: with the backend's name.
            probe_in: seconds until somebody should look whether the backend answers again.
            elapsed: seconds of work to add.

        Raises:
            LostLeaseError: it is not ours any more.
        """
        return await self._pause(
            lease, Cause.BACKEND_AWAY, reason, probe_at=db_now() + probe_in, elapsed=elapsed
        )

    async def expire_leases(self) -> int:
        """Let all running optimizations be claimed at once.

        Only for a process that knows itself to be the only one that runs them, at its start.

        Returns:
            How many were running.
        """
        statement = (
            update(Optimization)
            .where(Optimization.status == "running")
            .values(lease_until=0.0)
            .returning(Optimization.id)
        )
        async with self._db.session() as session:
            return len((await session.scalars(statement)).all())

    async def _pause(
        self,
        lease: Lease,
        cause: Cause,
        reason: PauseReason,
        *,
        probe_at: ColumnElement[float] | None,
        elapsed: float,
    ) -> OptimizationRecord:
        async with self._db.session() as session:
            row = await session.scalar(_HELD_ROW, _of(lease))
            if row is None:
                raise LostLeaseError(lease.optimization_id, lease.fence)
            worked: dict[str, object] = {
                "elapsed_seconds": Optimization.elapsed_seconds + elapsed,
                "lease_until": None,
            }
            if row.cancel_requested:
                ended = move(Cause.CANCELLED).values({**worked, "finished_at": db_now()})
                row = await self._change(session, lease, ended)
                return await self._announce(session, row, finished_event(row))
            if cause is Cause.PAUSED and not row.pause_requested:
                self._db.touch(session, row.id, for_workers=True)
                free = update(Optimization).values({**worked, "lease_until": _JUST_ENDED})
                return to_record(await self._change(session, lease, free))
            if row.pause_requested:
                cause, reason, probe_at = Cause.PAUSED, PAUSED_ON_REQUEST, None
            paused = move(cause).values(
                {
                    **worked,
                    "pause_requested": False,
                    "paused_because": reason.to_json(),
                    "probe_at": probe_at,
                }
            )
            row = await self._change(session, lease, paused)
            return await self._announce(session, row, paused_event(row))

    @staticmethod
    async def _change(session: Session, lease: Lease, statement: Update) -> Optimization:
        """The row, which the session has locked, after ``statement``."""
        ours = statement.where(*_IS_OURS).returning(Optimization)
        return (await session.scalars(ours, _of(lease))).one()


def _of(lease: Lease) -> dict[str, object]:
    """What ``_IS_OURS`` asks for."""
    return {"of_id": lease.optimization_id, "of_owner": lease.owner, "of_fence": lease.fence}


def _beat(connection: Connection, beat: dict[str, object]) -> tuple[bool, bool, JsonObject | None] | None:
    """What is asked of the owner, and the job's limits; None where the lease is lost."""
    for cancel_requested, pause_requested, limits in _BEAT.rows(connection, beat):
        return cancel_requested, pause_requested, limits
    return None
