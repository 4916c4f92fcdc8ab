"""Keeping the call ledger within bounds: which optimizations' calls are dropped, and dropping them."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Select, delete, func, select, update

from store.clock import db_now
from store.connections import Database
from store.models.call_summary import CallSummary
from store.models.model_call import ModelCall
from store.models.optimization import Optimization
from store.records.calls import LedgerTotals
from store.repositories.conflicts import insert_new
from store.repositories.spends import share_of, spends_to_json, stored_bytes

FINAL: Final = ("succeeded", "failed", "cancelled")
_BATCH: Final = 500
"""Rows deleted in one transaction: calls under way wait for it."""


class CallRetention:
    """Drops the calls of optimizations that have ended. What they have cost stays on record."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def summarise(self, *, limit: int = 100) -> int:
        """Sum up the calls of optimizations that have ended since the last time.

        Returns:
            How many; at most ``limit``.
        """
        async with self._db.read() as session:
            ended = list(await session.scalars(_without_summary().limit(limit)))
        for optimization_id in ended:
            async with self._db.session() as session:
                share = await share_of(session, optimization_id)
                statement = insert_new(self._db.dialect, CallSummary).values(
                    optimization_id=optimization_id,
                    calls=share.calls,
                    bytes=share.bytes,
                    spend=spends_to_json(share.by_role),
                )
                await session.execute(statement)
        return len(ended)

    async def totals(self) -> LedgerTotals:
        """How much of the ledger is in use now."""
        kept = select(
            func.coalesce(func.sum(CallSummary.calls), 0), func.coalesce(func.sum(CallSummary.bytes), 0)
        ).where(CallSummary.dropped_at.is_(None))
        unsummed = (
            select(func.count(), func.coalesce(stored_bytes(), 0))
            .select_from(ModelCall)
            .where(
                ModelCall.optimization_id.in_(
                    select(Optimization.id)
                    .outerjoin(CallSummary, CallSummary.optimization_id == Optimization.id)
                    .where(CallSummary.optimization_id.is_(None))
                )
            )
        )
        dropped = select(func.count()).where(CallSummary.dropped_at.is_not(None))
        oldest = (
            select(func.min(Optimization.finished_at))
            .join(CallSummary, CallSummary.optimization_id == Optimization.id)
            .where(CallSummary.dropped_at.is_(None), CallSummary.calls > 0)
        )
        async with self._db.read() as session:
            calls, size = (await session.execute(kept)).one()
            live_calls, live_size = (await session.execute(unsummed)).one()
            return LedgerTotals(
                calls=int(calls) + int(live_calls),
                bytes=int(size) + int(live_size),
                dropped_optimizations=int(await session.scalar(dropped) or 0),
                oldest_finished_at=await session.scalar(oldest),
            )

    async def drop_due(
        self, *, keep_seconds: float | None, max_bytes: int | None, protected: Collection[str]
    ) -> tuple[str, ...]:
        """Drop the calls of what ended too long ago, and of what ended first while there are too many.

        They are out of use at once; their rows go with ``delete_dropped``.

        Args:
            keep_seconds: how long calls are kept after the end of their optimization; None for ever.
            max_bytes: what all calls may take; None for any amount. What has not ended counts, and stays.
            protected: optimizations that are being replayed.

        Returns:
            The optimizations whose calls were dropped, oldest first.
        """
        total = (await self.totals()).bytes
        candidates = (
            select(CallSummary.optimization_id, CallSummary.bytes, db_now() - Optimization.finished_at)
            .join(Optimization, Optimization.id == CallSummary.optimization_id)
            .where(
                CallSummary.dropped_at.is_(None),
                CallSummary.calls > 0,
                CallSummary.optimization_id.not_in(protected),
            )
            .order_by(Optimization.finished_at, Optimization.id)
        )
        due = []
        async with self._db.read() as session:
            for optimization_id, size, age in await session.execute(candidates):
                expired = keep_seconds is not None and age > keep_seconds
                if not expired and (max_bytes is None or total <= max_bytes):
                    break
                due.append(optimization_id)
                total -= size
        for optimization_id in due:
            await self._mark(optimization_id)
        return tuple(due)

    async def delete_dropped(self) -> int:
        """Delete some rows of dropped calls, so few that nobody waits for long.

        Returns:
            How many; 0 where none is left.
        """
        rows = (
            select(ModelCall.scope, ModelCall.key)
            .join(CallSummary, CallSummary.optimization_id == ModelCall.optimization_id)
            .where(CallSummary.dropped_at.is_not(None))
            .limit(_BATCH)
        )
        async with self._db.read() as session:
            found = [tuple(row) for row in await session.execute(rows)]
        if not found:
            return 0
        by_scope: dict[str, list[str]] = {}
        for scope, key in found:
            by_scope.setdefault(scope, []).append(key)
        async with self._db.session() as session:
            for scope, keys in by_scope.items():
                await session.execute(
                    delete(ModelCall).where(ModelCall.scope == scope, ModelCall.key.in_(keys))
                )
        return len(found)

    async def _mark(self, optimization_id: str) -> None:
        statement = (
            update(CallSummary)
            .where(CallSummary.optimization_id == optimization_id, CallSummary.dropped_at.is_(None))
            .values(dropped_at=db_now())
        )
        async with self._db.session() as session:
            await session.execute(statement)


def _without_summary() -> Select[str]:
    return (
        select(Optimization.id)
        .outerjoin(CallSummary, CallSummary.optimization_id == Optimization.id)
        .where(Optimization.status.in_(FINAL), CallSummary.optimization_id.is_(None))
        .order_by(Optimization.finished_at, Optimization.id)
    )
