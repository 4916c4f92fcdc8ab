"""Optimizations: creating, listing, and the lease that decides who may work on one.

All times are the database's. At most one owner holds a valid fence at any moment; whoever takes over gets a
higher one, and everything that an older owner still tries to write is refused.
"""

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    and_,
    case,
    func,
    insert,
    not_,
    or_,
    select,
    tuple_,
    update,
)

from store.clock import db_now
from store.connections import Database, Session
from store.errors import LostLeaseError, NotFoundError
from store.event_log import append_events
from store.ids import new_id
from store.json_values import JsonObject
from store.models.optimization import Optimization
from store.records.optimizations import (
    BeatResult,
    Claim,
    JobKind,
    Lease,
    OptimizationError,
    OptimizationRecord,
    OptimizationStatus,
)
from store.records.progress import EventDraft

STARTED_EVENT = "optimization_started"
CANCEL_REQUESTED_EVENT = "optimization_cancel_requested"
FINISHED_EVENT = "optimization_finished"

_PREFIXES = {JobKind.PROMPT: "opt", JobKind.EXAMPLE_BANK: "ebj"}


class OptimizationRepository:
    """The table of optimizations.

    Three events are appended here, in the transaction that makes them true: ``optimization_started`` (once
    for each owner), ``optimization_cancel_requested`` and ``optimization_finished``.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self,
        *,
        spec: JsonObject,
        target: str,
        kind: JobKind = JobKind.PROMPT,
        result: JsonObject | None = None,
        optimization_id: str | None = None,
        session: Session | None = None,
    ) -> OptimizationRecord:
        """Add a queued optimization; one with a ``result`` has succeeded from the start.

        Raises:
            ConflictError: the id is taken.
        """
        statement = insert(Optimization).values(
            id=optimization_id or new_id(_PREFIXES[kind]), kind=kind.value, spec=spec, target=target
        )
        if result is not None:
            statement = statement.values(
                status="succeeded", result=result, started_at=db_now(), finished_at=db_now()
            )
        async with self._db.session(session) as transaction:
            row = (await transaction.scalars(statement.returning(Optimization))).one()
            if result is None:
                return _record(row)
            return await self._announce(transaction, row, _finished(row))

    async def get(
        self, optimization_id: str, *, kind: JobKind | None = None, session: Session | None = None
    ) -> OptimizationRecord:
        """The optimization ``optimization_id``.

        Raises:
            NotFoundError: there is none, or it is not of this ``kind``.
        """
        async with self._db.read(session) as transaction:
            row = await transaction.get(Optimization, optimization_id)
            return _record(_found(row, optimization_id, kind))

    async def list(
        self,
        *,
        after: str | None = None,
        limit: int = 20,
        status: OptimizationStatus | None = None,
        kind: JobKind | None = None,
    ) -> tuple[OptimizationRecord, ...]:
        """Optimizations, newest first.

        Args:
            after: id of the last one of the page before.
            limit: at most so many, at least 1.
            status: only those.
            kind: only those.

        Raises:
            NotFoundError: there is no optimization ``after``.
        """
        async with self._db.read() as session:
            statement = select(Optimization)
            if after is not None:
                cursor = _found(await session.get(Optimization, after), after, kind)
                statement = statement.where(
                    tuple_(Optimization.created_at, Optimization.id) < (cursor.created_at, cursor.id)
                )
            if status is not None:
                statement = statement.where(Optimization.status == status.value)
            if kind is not None:
                statement = statement.where(Optimization.kind == kind.value)
            newest_first = (Optimization.created_at.desc(), Optimization.id.desc())
            rows = await session.scalars(statement.order_by(*newest_first).limit(limit))
            return tuple(_record(row) for row in rows)

    async def claim(self, optimization_id: str, *, owner: str, ttl: float) -> Claim | None:
        """Become the owner of ``optimization_id`` for ``ttl`` seconds.

        Returns:
            None where a live owner has it, it has ended, waits paused, or is to be cancelled.
        """
        async with self._db.session() as session:
            return await self._take(session, optimization_id, owner, ttl)

    async def claim_next(self, *, owner: str, ttl: float) -> Claim | None:
        """Become the owner of the oldest optimization that is queued or whose owner is gone.

        Whatever was to be cancelled and has lost its owner is ended first.

        Returns:
            None where there is none.
        """
        async with self._db.session() as session:
            await self._end_abandoned(session)
            candidates = (
                select(Optimization.id)
                .where(_claimable())
                .order_by(Optimization.created_at, Optimization.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            optimization_id = await session.scalar(candidates)
            if optimization_id is None:
                return None
            return await self._take(session, optimization_id, owner, ttl)

    async def beat(self, lease: Lease, *, ttl: float, elapsed: float = 0.0) -> BeatResult:
        """Keep the lease for another ``ttl`` seconds, and add ``elapsed`` seconds of work.

        A lease that has run out is kept, too, as long as nobody else has taken it.
        """
        statement = (
            _held(lease)
            .values(
                lease_until=db_now() + ttl,
                elapsed_seconds=Optimization.elapsed_seconds + elapsed,
            )
            .returning(Optimization.cancel_requested)
        )

        def work(connection: Connection) -> bool | None:
            requested: bool | None = connection.scalar(statement)
            return requested

        cancel_requested = await self._db.write(work, beat=True)
        if cancel_requested is None:
            return BeatResult.LOST
        return BeatResult.CANCEL_REQUESTED if cancel_requested else BeatResult.HELD

    async def release(self, lease: Lease, *, elapsed: float = 0.0) -> bool:
        """Give the lease back without ending the optimization: the next owner need not wait.

        Returns:
            Whether the lease was still ours.
        """
        statement = (
            _held(lease)
            .values(lease_until=0.0, elapsed_seconds=Optimization.elapsed_seconds + elapsed)
            .returning(Optimization.id)
        )
        return await self._db.write(lambda connection: connection.scalar(statement) is not None, beat=True)

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
        if not status.is_final:
            raise ValueError(f"{status} does not end an optimization")
        statement = (
            _held(lease)
            .values(
                status=status.value,
                result=result,
                error=None if error is None else {"code": error.code, "message": error.message},
                lease_until=None,
                finished_at=db_now(),
                elapsed_seconds=Optimization.elapsed_seconds + elapsed,
            )
            .returning(Optimization)
        )
        async with self._db.session(session) as transaction:
            row = await transaction.scalar(statement)
            if row is None:
                raise LostLeaseError(lease.optimization_id, lease.fence)
            return await self._announce(transaction, row, _finished(row))

    async def request_cancel(self, optimization_id: str) -> OptimizationRecord:
        """Ask for the end of an optimization: a waiting one ends at once, a running one at its next beat.

        Returns:
            The optimization as it stands now; unchanged where it has ended already.

        Raises:
            NotFoundError: there is no such optimization.
        """
        waiting = Optimization.status.in_(["queued", "paused"])
        statement = (
            update(Optimization)
            .where(
                Optimization.id == optimization_id,
                not_(Optimization.cancel_requested),
                or_(waiting, Optimization.status == "running"),
            )
            .values(
                cancel_requested=True,
                status=case((waiting, "cancelled"), else_=Optimization.status),
                finished_at=case((waiting, db_now()), else_=None),
            )
            .returning(Optimization)
        )
        async with self._db.session() as session:
            row = await session.scalar(statement)
            if row is None:
                return await self.get(optimization_id, session=session)
            if row.status == "running":
                requested = EventDraft(key=CANCEL_REQUESTED_EVENT, type=CANCEL_REQUESTED_EVENT, body={})
                return await self._announce(session, row, requested)
            return await self._announce(session, row, _finished(row))

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

    async def _take(self, session: Session, optimization_id: str, owner: str, ttl: float) -> Claim | None:
        statement = (
            update(Optimization)
            .where(Optimization.id == optimization_id, _claimable())
            .values(
                status="running",
                owner=owner,
                fence=Optimization.fence + 1,
                lease_until=db_now() + ttl,
                started_at=func.coalesce(Optimization.started_at, db_now()),
            )
            .returning(Optimization)
        )
        row = await session.scalar(statement)
        if row is None:
            return None
        started = EventDraft(
            key=f"{STARTED_EVENT}:{row.fence}", type=STARTED_EVENT, body={"attempt": row.fence}
        )
        record = await self._announce(session, row, started)
        lease = Lease(optimization_id=row.id, owner=owner, fence=row.fence)
        return Claim(lease=lease, optimization=record)

    async def _end_abandoned(self, session: Session) -> None:
        statement = (
            update(Optimization)
            .where(
                Optimization.status == "running",
                Optimization.cancel_requested,
                Optimization.lease_until < db_now(),
            )
            .values(
                status="cancelled",
                fence=Optimization.fence + 1,
                lease_until=None,
                finished_at=db_now(),
            )
            .returning(Optimization)
        )
        for row in (await session.scalars(statement)).all():
            await self._announce(session, row, _finished(row))

    async def _announce(self, session: Session, row: Optimization, event: EventDraft) -> OptimizationRecord:
        connection = await session.connection()
        await connection.run_sync(append_events, row.id, row.next_seq, [event])
        self._db.touch(session, row.id)
        await session.refresh(row)
        return _record(row)


def _claimable() -> ColumnElement[bool]:
    abandoned = and_(Optimization.status == "running", Optimization.lease_until < db_now())
    return and_(not_(Optimization.cancel_requested), or_(Optimization.status == "queued", abandoned))


def _held(lease: Lease) -> Update:
    return update(Optimization).where(
        Optimization.id == lease.optimization_id,
        Optimization.owner == lease.owner,
        Optimization.fence == lease.fence,
        Optimization.status == "running",
    )


def _finished(row: Optimization) -> EventDraft:
    return EventDraft(
        key=FINISHED_EVENT, type=FINISHED_EVENT, body={"status": row.status, "error": row.error}
    )


def _found(row: Optimization | None, optimization_id: str, kind: JobKind | None = None) -> Optimization:
    if row is None or (kind is not None and row.kind != kind.value):
        what = "example bank" if kind is JobKind.EXAMPLE_BANK else "optimization"
        raise NotFoundError(f"there is no {what} {optimization_id}")
    return row


def _record(row: Optimization) -> OptimizationRecord:
    error = row.error
    return OptimizationRecord(
        id=row.id,
        kind=JobKind(row.kind),
        spec=row.spec,
        target=row.target,
        status=OptimizationStatus(row.status),
        owner=row.owner,
        fence=row.fence,
        cancel_requested=row.cancel_requested,
        last_seq=row.next_seq - 1,
        error=None if error is None else OptimizationError(code=error["code"], message=error["message"]),
        result=row.result,
        elapsed_seconds=row.elapsed_seconds,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
