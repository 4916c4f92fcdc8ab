"""Taking jobs: the only way to a lease.

Whoever looks for work also settles what was to be paused or cancelled and has lost its owner.
"""

from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, case, func, not_, or_, select

from store.clock import db_now
from store.hints import send_hint
from store.job_states import Cause, move
from store.models.optimization import Optimization
from store.records.optimizations import Claim, Lease, Software
from store.records.progress import EventDraft
from store.repositories.optimization_rows import (
    PAUSED_ON_REQUEST,
    STARTED_EVENT,
    OptimizationRows,
    announce,
    finished_event,
    paused_event,
)
from store.stuck_sessions import end_stuck_sessions

_OVERDUE_SECONDS: Final = 1.0
_LEFT_TO_OTHERS_SECONDS: Final = 60.0


class OptimizationClaims(OptimizationRows):
    """Becoming the owner of a job."""

    async def claim_next(self, *, owner: str, ttl: float, software: Software) -> Claim | None:
        """Become the owner of an optimization that is queued or whose owner is gone.

        The one with the highest priority comes first, among equals the oldest. Whatever was to be paused or
        cancelled and has lost its owner is so before.

        Args:
            owner: who wants it.
            ttl: seconds that the lease lasts without a beat.
            software: what the owner is. A spec that it cannot read stays for others. What other software has
                begun is left to that for a minute after the lease has ended: its calls would not be found.

        Returns:
            None where there is none.
        """

        def work(connection: Connection) -> tuple[Claim | None, list[str]]:
            changed = _settle_abandoned(connection)
            claim = _take_next(connection, owner, ttl, software)
            if claim is not None:
                changed.append(claim.lease.optimization_id)
            elif _is_one_overdue(connection):
                end_stuck_sessions(connection)  # the next look finds it free
            for optimization_id in changed:
                send_hint(connection, optimization_id)
            return claim, changed

        claim, changed = await self._db.write(work)
        for optimization_id in changed:
            self._db.wakeups.notify(optimization_id)
        return claim


def _take_next(connection: Connection, owner: str, ttl: float, software: Software) -> Claim | None:
    candidates = (
        select(Optimization.id)
        .where(_claimable(software))
        .order_by(Optimization.priority.desc(), Optimization.created_at, Optimization.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    optimization_id = connection.scalar(candidates)
    if optimization_id is None:
        return None
    take = (
        move(Cause.CLAIMED)
        .where(Optimization.id == optimization_id, _claimable(software))
        .values(
            owner=owner,
            software=software.name,
            fence=Optimization.fence + 1,
            lease_until=db_now() + ttl,
            started_at=func.coalesce(Optimization.started_at, db_now()),
        )
    )
    row = connection.execute(take.returning(Optimization)).one_or_none()
    if row is None:
        return None
    key = f"{STARTED_EVENT}:{row.fence}"
    started = EventDraft(key=key, type=STARTED_EVENT, body={"attempt": row.fence})
    record = announce(connection, row, started)
    lease = Lease(optimization_id=row.id, owner=owner, fence=row.fence)
    return Claim(lease=lease, optimization=record)


def _settle_abandoned(connection: Connection) -> list[str]:
    """Cancel and pause what was to be so and has lost its owner; the ids of those."""
    abandoned = and_(Optimization.status == "running", Optimization.lease_until < db_now())
    taken = {"fence": Optimization.fence + 1, "lease_until": None}
    asked = or_(Optimization.cancel_requested, Optimization.pause_requested)
    free = select(Optimization.id, Optimization.cancel_requested).where(abandoned, asked)
    settled = connection.execute(free.with_for_update(skip_locked=True)).all()
    for optimization_id, is_cancelled in settled:
        if is_cancelled:
            ended = move(Cause.CANCELLED).values(finished_at=db_now(), **taken)
        else:
            because = PAUSED_ON_REQUEST.to_json()
            ended = move(Cause.PAUSED).values(pause_requested=False, paused_because=because, **taken)
        statement = ended.where(Optimization.id == optimization_id).returning(Optimization)
        row = connection.execute(statement).one()
        announce(connection, row, finished_event(row) if is_cancelled else paused_event(row))
    return [optimization_id for optimization_id, _ in settled]


def _is_one_overdue(connection: Connection) -> bool:
    """Nobody has taken it although it is free: its row is locked."""
    overdue = and_(Optimization.status == "running", Optimization.lease_until < db_now() - _OVERDUE_SECONDS)
    return connection.scalar(select(Optimization.id).where(overdue).limit(1)) is not None


def _claimable(software: Software) -> ColumnElement[bool]:
    is_ours = or_(Optimization.software.is_(None), Optimization.software == software.name)
    ended_before = case((is_ours, db_now()), else_=db_now() - _LEFT_TO_OTHERS_SECONDS)
    abandoned = and_(Optimization.status == "running", Optimization.lease_until < ended_before)
    return and_(
        Optimization.spec_version <= software.spec_version,
        not_(Optimization.cancel_requested),
        not_(Optimization.pause_requested),
        or_(Optimization.status == "queued", abandoned),
    )
