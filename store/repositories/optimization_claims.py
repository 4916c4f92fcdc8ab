"""Taking jobs: the only way to a lease.

Whoever looks for work also settles what was to be paused or cancelled and has lost its owner.
"""

from typing import Final

from sqlalchemy import Connection, and_, bindparam, case, func, not_, or_, select

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
from store.statements import Statement
from store.stuck_sessions import end_stuck_sessions

_OVERDUE_SECONDS: Final = 1.0
_LEFT_TO_OTHERS_SECONDS: Final = 60.0

# built once: whoever has nothing to do looks every second
_IS_RUNNING: Final = Optimization.status == "running"
_IS_ONE: Final = Optimization.id == bindparam("of_id")
_IS_OURS: Final = or_(Optimization.software.is_(None), Optimization.software == bindparam("of_software"))
_CLAIMABLE: Final = and_(
    Optimization.spec_version <= bindparam("of_spec_version"),
    not_(Optimization.cancel_requested),
    not_(Optimization.pause_requested),
    or_(
        Optimization.status == "queued",
        and_(
            _IS_RUNNING,
            Optimization.lease_until < case((_IS_OURS, db_now()), else_=db_now() - _LEFT_TO_OTHERS_SECONDS),
        ),
    ),
)
_NEXT: Final = Statement(
    select(Optimization.id)
    .where(_CLAIMABLE)
    .order_by(Optimization.priority.desc(), Optimization.created_at, Optimization.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_TAKE: Final = Statement(
    move(Cause.CLAIMED)
    .where(_IS_ONE, _CLAIMABLE)
    .values(
        owner=bindparam("new_owner"),
        software=bindparam("of_software"),
        fence=Optimization.fence + 1,
        lease_until=db_now() + bindparam("ttl"),
        started_at=func.coalesce(Optimization.started_at, db_now()),
    )
    .returning(Optimization)
)
_ABANDONED: Final = Statement(
    select(Optimization.id, Optimization.cancel_requested)
    .where(
        _IS_RUNNING,
        Optimization.lease_until < db_now(),
        or_(Optimization.cancel_requested, Optimization.pause_requested),
    )
    .with_for_update(skip_locked=True)
)
_TAKEN: Final = {"fence": Optimization.fence + 1, "lease_until": None}
_CANCEL: Final = Statement(
    move(Cause.CANCELLED).where(_IS_ONE).values(finished_at=db_now(), **_TAKEN).returning(Optimization)
)
_PAUSE: Final = Statement(
    move(Cause.PAUSED)
    .where(_IS_ONE)
    .values(pause_requested=False, paused_because=PAUSED_ON_REQUEST.to_json(), **_TAKEN)
    .returning(Optimization)
)
_OVERDUE: Final = Statement(
    select(Optimization.id)
    .where(_IS_RUNNING, Optimization.lease_until < db_now() - _OVERDUE_SECONDS)
    .limit(1)
)


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
            elif _OVERDUE.scalar(connection, {}) is not None:  # although it is free: its row is locked
                end_stuck_sessions(connection)  # the next look finds it free
            for optimization_id in changed:
                send_hint(connection, optimization_id)
            return claim, changed

        claim, changed = await self._db.write(work)
        for optimization_id in changed:
            self._db.wakeups.notify(optimization_id)
        return claim


def _take_next(connection: Connection, owner: str, ttl: float, software: Software) -> Claim | None:
    wanted = {"of_spec_version": software.spec_version, "of_software": software.name}
    optimization_id = _NEXT.scalar(connection, wanted)
    if optimization_id is None:
        return None
    row = _TAKE.first(connection, {**wanted, "of_id": optimization_id, "new_owner": owner, "ttl": ttl})
    if row is None:
        return None
    key = f"{STARTED_EVENT}:{row.fence}"
    started = EventDraft(key=key, type=STARTED_EVENT, body={"attempt": row.fence})
    record = announce(connection, row, started)
    lease = Lease(optimization_id=row.id, owner=owner, fence=row.fence)
    return Claim(lease=lease, optimization=record)


def _settle_abandoned(connection: Connection) -> list[str]:
    """Cancel and pause what was to be so and has lost its owner; the ids of those."""
    settled = _ABANDONED.rows(connection, {})
    for optimization_id, is_cancelled in settled:
        row = (_CANCEL if is_cancelled else _PAUSE).one(connection, {"of_id": optimization_id})
        announce(connection, row, finished_event(row) if is_cancelled else paused_event(row))
    return [optimization_id for optimization_id, _ in settled]
