"""Deleting an optimization with everything that it has stored."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import delete, select, update

from store.clock import db_now
from store.connections import Session
from store.errors import JobStateError
from store.models.call_summary import CallSummary
from store.models.candidate import Candidate
from store.models.evaluation import Evaluation
from store.models.example_answer import ExampleAnswer
from store.models.optimization import Optimization
from store.models.optimization_decision import OptimizationDecision
from store.models.optimization_event import OptimizationEvent
from store.models.optimization_round import OptimizationRound
from store.models.optimization_selection import OptimizationSelection
from store.records.optimizations import OptimizationStatus
from store.repositories.conflicts import insert_new
from store.repositories.optimization_rows import OptimizationRows
from store.repositories.spends import share_of, spends_to_json

_FINAL: Final = [status.value for status in OptimizationStatus if status.is_final]
_OWNED: Final[tuple[Any, ...]] = (
    Evaluation,
    Candidate,
    OptimizationRound,
    OptimizationEvent,
    OptimizationSelection,
    OptimizationDecision,
    ExampleAnswer,
)
_EMPTY: Final[dict[str, Any]] = {
    "spec": {},
    "result": None,
    "error": None,
    "limits": None,
    "idempotency_key": None,
    "request_hash": None,
}


class JobDeletion(OptimizationRows):
    """Deletes optimizations.

    The row stays, emptied and marked, because what came of the job refers to it: a prompt version, which
    never changes, and the sum of what the job has cost, which is the operator's.
    """

    async def delete(self, optimization_id: str) -> None:
        """Delete what the optimization has stored; its recorded calls are out of use at once.

        Their rows go with ``CallRetention.delete_dropped``.

        Raises:
            NotFoundError: there is no such optimization (any more).
            JobStateError: it has not ended.
        """
        async with self._db.session() as session:
            row = await self._lock(session, optimization_id)
            status = OptimizationStatus(row.status)
            if not status.is_final:
                raise JobStateError(optimization_id, status, "deleted")
            await self._drop_calls(session, optimization_id)
            for table in _OWNED:
                await session.execute(delete(table).where(table.optimization_id == optimization_id))
            await session.execute(
                update(Optimization)
                .where(Optimization.id == optimization_id)
                .values({**_EMPTY, "deleted_at": db_now()})
            )

    async def expired(
        self, *, keep_seconds: float, protected: Collection[str], limit: int = 100
    ) -> tuple[str, ...]:
        """Optimizations that ended more than ``keep_seconds`` ago, oldest first; at most ``limit``.

        None of those that are ``protected`` is among them.
        """
        statement = (
            select(Optimization.id)
            .where(
                Optimization.status.in_(_FINAL),
                Optimization.deleted_at.is_(None),
                Optimization.id.not_in(protected),
                Optimization.finished_at < db_now() - keep_seconds,
            )
            .order_by(Optimization.finished_at, Optimization.id)
            .limit(limit)
        )
        async with self._db.read() as session:
            return tuple(await session.scalars(statement))

    async def deleted(self, optimization_ids: frozenset[str]) -> frozenset[str]:
        """Those of ``optimization_ids`` that have been deleted."""
        statement = select(Optimization.id).where(
            Optimization.id.in_(optimization_ids), Optimization.deleted_at.is_not(None)
        )
        async with self._db.read() as session:
            return frozenset(await session.scalars(statement))

    async def _drop_calls(self, session: Session, optimization_id: str) -> None:
        share = await share_of(session, optimization_id)
        summary = insert_new(self._db.dialect, CallSummary).values(
            optimization_id=optimization_id,
            calls=share.calls,
            bytes=share.bytes,
            spend=spends_to_json(share.by_role),
        )
        await session.execute(summary)
        await session.execute(
            update(CallSummary)
            .where(CallSummary.optimization_id == optimization_id, CallSummary.dropped_at.is_(None))
            .values(dropped_at=db_now())
        )
