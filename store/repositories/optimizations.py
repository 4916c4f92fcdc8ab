"""Optimizations: creating, finding and listing them."""

from collections.abc import Collection

from sqlalchemy import insert, select, tuple_

from store.clock import db_now
from store.connections import Session
from store.errors import NotFoundError
from store.ids import new_id
from store.json_values import JsonObject
from store.models.optimization import Optimization
from store.records.optimizations import JobKind, JobTerms, OptimizationRecord, OptimizationStatus
from store.repositories.optimization_claims import OptimizationClaims
from store.repositories.optimization_control import OptimizationControl
from store.repositories.optimization_leases import OptimizationLeases
from store.repositories.optimization_probes import OptimizationProbes
from store.repositories.optimization_rows import finished_event, found, to_record

_PREFIXES = {JobKind.PROMPT: "opt", JobKind.EXAMPLE_BANK: "ebj"}
_USUAL = JobTerms()


class OptimizationRepository(OptimizationClaims, OptimizationLeases, OptimizationControl, OptimizationProbes):
    """The table of optimizations, with its leases and what people may ask of a job.

    Every change of a state after the first is announced by an event in the transaction that makes it true; so
    is the end of a job that is made with its result.
    """

    async def create(
        self,
        *,
        spec: JsonObject,
        target: str,
        kind: JobKind = JobKind.PROMPT,
        result: JsonObject | None = None,
        terms: JobTerms = _USUAL,
        session: Session | None = None,
    ) -> OptimizationRecord:
        """Add a queued optimization; one with a ``result`` has succeeded from the start.

        Raises:
            ConflictError: there is a job of this kind with that idempotency key.
        """
        statement = insert(Optimization).values(
            id=new_id(_PREFIXES[kind]),
            kind=kind.value,
            spec=spec,
            target=target,
            priority=terms.priority,
            idempotency_key=terms.idempotency_key,
            request_hash=terms.request_hash,
            derived_from=terms.derived_from,
            schedule_id=terms.schedule_id,
            spec_version=terms.spec_version,
        )
        if result is not None:
            statement = statement.values(
                status="succeeded", result=result, started_at=db_now(), finished_at=db_now()
            )
        async with self._db.session(session) as transaction:
            row = (await transaction.scalars(statement.returning(Optimization))).one()
            if result is None:
                self._db.touch(transaction, row.id, for_workers=True)
                return to_record(row)
            return await self._announce(transaction, row, finished_event(row))

    async def get(
        self, optimization_id: str, *, kind: JobKind | None = None, session: Session | None = None
    ) -> OptimizationRecord:
        """The optimization ``optimization_id``.

        Raises:
            NotFoundError: there is none, or it is not of this ``kind``.
        """
        async with self._db.read(session) as transaction:
            row = await transaction.get(Optimization, optimization_id)
            return to_record(found(row, optimization_id, kind))

    async def target_of(self, optimization_id: str, *, kind: JobKind) -> str:
        """The target of an optimization, which is on record also when that is deleted.

        Raises:
            NotFoundError: there never was one, or it is not of this ``kind``.
        """
        statement = select(Optimization.target).where(
            Optimization.id == optimization_id, Optimization.kind == kind.value
        )
        async with self._db.read() as session:
            target = await session.scalar(statement)
        if target is None:
            raise NotFoundError(f"there is no optimization {optimization_id}")
        return str(target)

    async def by_idempotency_key(self, key: str, *, kind: JobKind) -> OptimizationRecord | None:
        """The optimization that a request with ``key`` has made, or None."""
        statement = select(Optimization).where(
            Optimization.kind == kind.value, Optimization.idempotency_key == key
        )
        async with self._db.read() as session:
            row = await session.scalar(statement)
            return None if row is None else to_record(row)

    async def list(
        self,
        *,
        after: str | None = None,
        limit: int = 20,
        status: OptimizationStatus | None = None,
        kind: JobKind | None = None,
        targets: Collection[str] | None = None,
    ) -> tuple[OptimizationRecord, ...]:
        """Optimizations, newest first.

        Args:
            after: id of the last one of the page before.
            limit: at most so many, at least 1.
            status: only those.
            kind: only those.
            targets: only those of these models.

        Raises:
            NotFoundError: there is no optimization ``after``, of these models.
        """
        async with self._db.read() as session:
            statement = select(Optimization).where(Optimization.deleted_at.is_(None))
            if after is not None:
                row = await session.get(Optimization, after)
                if row is not None and targets is not None and row.target not in targets:
                    row = None
                cursor = found(row, after, kind)
                statement = statement.where(
                    tuple_(Optimization.created_at, Optimization.id) < (cursor.created_at, cursor.id)
                )
            if status is not None:
                statement = statement.where(Optimization.status == status.value)
            if kind is not None:
                statement = statement.where(Optimization.kind == kind.value)
            if targets is not None:
                statement = statement.where(Optimization.target.in_(targets))
            newest_first = (Optimization.created_at.desc(), Optimization.id.desc())
            rows = await session.scalars(statement.order_by(*newest_first).limit(limit))
            return tuple(to_record(row) for row in rows)
