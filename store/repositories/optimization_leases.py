"""The lease that decides who may work on an optimization.

All times are the database's. At most one owner holds a valid fence at any moment; whoever takes over gets a
higher one, and everything that an older owner still tries to write is refused.
"""

from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
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
    finished_event,
    paused_event,
    to_record,
)
from store.statements import Statement

_JUST_ENDED: Final = db_now() - 0.01
"""Not long ago: other software leaves the job to workers of its own kind for a while."""
# built once: each job beats every second
_BEAT: Final = Statement(
    update(Optimization)
    .where(
        Optimization.id == bindparam("of_id"),
        Optimization.owner == bindparam("of_owner"),
        Optimization.fence == bindparam("of_fence"),
        Optimization.status == "running",
    )
    .values(
        lease_until=db_now() + bindparam("ttl"),
        elapsed_seconds=Optimization.elapsed_seconds + bindparam("worked"),
    )
    .returning(Optimization.cancel_requested, Optimization.pause_requested, Optimization.limits)
)


class OptimizationLeases(OptimizationRows):
    """Keeping jobs, and giving them back or to their end."""

    async def beat(self, lease: Lease, *, ttl: float, elapsed: float = 0.0) -> Beat:
        """Keep the lease for another ``ttl`` seconds, and add ``elapsed`` seconds of work.

        A lease that has run out is kept, too, as long as nobody else has taken it.
        """
        beat = {
            "of_id": lease.optimization_id,
            "of_owner": lease.owner,
            "of_fence": lease.fence,
            "ttl": ttl,
            "worked": elapsed,
        }

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
            _held(lease)
            .values(lease_until=_JUST_ENDED, elapsed_seconds=Optimization.elapsed_seconds + elapsed)
            .returning(Optimization.id)
        )

        def work(connection: Connection) -> bool:
            if connection.scalar(statement) is None:
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
        session: Session | None = None,
    ) -> OptimizationRecord:
        """End the optimization, and announce it.

        Args:
            lease: ours.
            status: a final one.
            result: what came out of it.
            error: why it failed.
            elapsed: seconds of work to add.
            session: a transaction to take part in, such as the one that adds the prompt version.

        Raises:
            LostLeaseError: it is not ours any more.
            ValueError: ``status`` is not final.
        """
        if status not in ENDINGS:
            raise ValueError(f"{status} does not end an optimization")
        statement = _of(lease, move(ENDINGS[status])).values(
            result=result,
            error=None if error is None else {"code": error.code, "message": error.message},
            lease_until=None,
            finished_at=db_now(),
            elapsed_seconds=Optimization.elapsed_seconds + elapsed,
        )
        async with self._db.session(session) as transaction:
            row = await transaction.scalar(statement.returning(Optimization))
            if row is None:
                raise LostLeaseError(lease.optimization_id, lease.fence)
            return await self._announce(transaction, row, finished_event(row))

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
            row = await session.scalar(_held_row(lease))
            if row is None:
                raise LostLeaseError(lease.optimization_id, lease.fence)
            worked: dict[str, object] = {
                "elapsed_seconds": Optimization.elapsed_seconds + elapsed,
                "lease_until": None,
            }
            if row.cancel_requested:
                ended = _of(lease, move(Cause.CANCELLED)).values({**worked, "finished_at": db_now()})
                row = (await session.scalars(ended.returning(Optimization))).one()
                return await self._announce(session, row, finished_event(row))
            if cause is Cause.PAUSED and not row.pause_requested:
                self._db.touch(session, row.id, for_workers=True)
                free = _held(lease).values(worked | {"lease_until": _JUST_ENDED}).returning(Optimization)
                return to_record((await session.scalars(free)).one())
            if row.pause_requested:
                cause, reason, probe_at = Cause.PAUSED, PAUSED_ON_REQUEST, None
            paused = _of(lease, move(cause)).values(
                {
                    **worked,
                    "pause_requested": False,
                    "paused_because": reason.to_json(),
                    "probe_at": probe_at,
                }
            )
            row = (await session.scalars(paused.returning(Optimization))).one()
            return await self._announce(session, row, paused_event(row))


def _of(lease: Lease, statement: Update) -> Update:
    return statement.where(
        Optimization.id == lease.optimization_id,
        Optimization.owner == lease.owner,
        Optimization.fence == lease.fence,
    )


def _beat(connection: Connection, beat: dict[str, object]) -> tuple[bool, bool, JsonObject | None] | None:
    """What is asked of the owner, and the job's limits; None where the lease is lost."""
    for cancel_requested, pause_requested, limits in _BEAT.rows(connection, beat):
        return cancel_requested, pause_requested, limits
    return None


def _held(lease: Lease) -> Update:
    return _of(lease, update(Optimization)).where(Optimization.status == "running")


def _held_row(lease: Lease) -> Select[Optimization]:
    return (
        select(Optimization)
        .where(
            Optimization.id == lease.optimization_id,
            Optimization.owner == lease.owner,
            Optimization.fence == lease.fence,
            Optimization.status == "running",
        )
        .with_for_update()
    )
