"""Optimizations that wait for a backend: whose turn it is to be looked after, and what came of it."""

from itertools import takewhile

from sqlalchemy import func, select, update

from store.clock import db_now
from store.models.model_call import ModelCall
from store.models.optimization import Optimization
from store.models.optimization_event import OptimizationEvent
from store.records.optimizations import OptimizationRecord, PauseCause, PauseReason
from store.repositories.optimization_rows import PAUSED_EVENT, OptimizationRows, to_record

_AT_ONCE = 100
_LOOKED_BACK = 20


class OptimizationProbes(OptimizationRows):
    """What somebody needs who looks whether backends answer again."""

    async def due_probes(self, *, hold: float) -> tuple[OptimizationRecord, ...]:
        """Paused optimizations whose backend is to be asked now; nobody else's for ``hold`` seconds."""
        due = (
            select(Optimization.id)
            .where(Optimization.status == "paused", Optimization.probe_at <= db_now())
            .order_by(Optimization.probe_at)
            .limit(_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        async with self._db.session() as session:
            ids = (await session.scalars(due)).all()
            if not ids:
                return ()
            held = update(Optimization).where(Optimization.id.in_(ids)).values(probe_at=db_now() + hold)
            rows = (await session.scalars(held.returning(Optimization))).all()
            return tuple(to_record(row) for row in rows)

    async def has_due_probes(self) -> bool:
        """Whether ``due_probes`` would find any; writes nothing."""
        due = select(Optimization.id).where(
            Optimization.status == "paused", Optimization.probe_at <= db_now()
        )
        async with self._db.read() as session:
            return await session.scalar(due.limit(1)) is not None

    async def waiting_for_backend(self, backend: str) -> tuple[str, ...]:
        """The optimizations that are paused until ``backend`` answers."""
        waiting = select(Optimization.id, Optimization.paused_because).where(
            Optimization.status == "paused", Optimization.probe_at.is_not(None)
        )
        async with self._db.read() as session:
            rows = (await session.execute(waiting)).all()
        return tuple(
            found for found, reason in rows if reason is not None and reason.get("backend") == backend
        )

    async def put_off_probe(self, optimization_id: str, reason: PauseReason, *, probe_in: float) -> bool:
        """The backend does not answer yet: ``reason`` says so, and it is asked again in ``probe_in`` seconds.

        Returns:
            Whether the optimization still waits for it.
        """
        statement = (
            update(Optimization)
            .where(
                Optimization.id == optimization_id,
                Optimization.status == "paused",
                Optimization.probe_at.is_not(None),
            )
            .values(paused_because=reason.to_json(), probe_at=db_now() + probe_in)
            .returning(Optimization.id)
        )
        async with self._db.session() as session:
            return await session.scalar(statement) is not None

    async def answered_calls(self, optimization_id: str) -> int:
        """How many calls of the optimization the ledger has an answer to."""
        done = select(func.count()).where(
            ModelCall.optimization_id == optimization_id, ModelCall.status == "done"
        )
        async with self._db.read() as session:
            return int(await session.scalar(done) or 0)

    async def fruitless_pauses(self, optimization_id: str, *, answered: int) -> int:
        """How often the optimization has last waited for a backend, one time after the other, in vain.

        In vain is a pause after which no call was answered: there were ``answered`` then as now.
        """
        pauses = (
            select(OptimizationEvent.body)
            .where(
                OptimizationEvent.optimization_id == optimization_id, OptimizationEvent.type == PAUSED_EVENT
            )
            .order_by(OptimizationEvent.seq.desc())
            .limit(_LOOKED_BACK)
        )
        async with self._db.read() as session:
            reasons = [PauseReason.from_json(body) for body in (await session.scalars(pauses)).all()]
        backend = [reason for reason in reasons if reason.cause is PauseCause.BACKEND]
        return sum(1 for _ in takewhile(lambda reason: reason.answered == answered, backend))
