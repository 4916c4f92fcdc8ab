"""A search's progress: recorded under the fence, announced to those who wait."""

import asyncio
from dataclasses import fields
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from store.connections import Database
from store.errors import LostLeaseError
from store.event_log import append_events
from store.fencing import held_seq
from store.hints import send_hint
from store.models.candidate import Candidate
from store.models.evaluation import Evaluation
from store.models.example_answer import ExampleAnswer
from store.models.optimization_event import OptimizationEvent
from store.models.optimization_round import OptimizationRound
from store.records.optimizations import Lease
from store.records.progress import (
    AnswerDraft,
    CandidateDraft,
    EvaluationDraft,
    EventRecord,
    ProgressBatch,
    RoundDraft,
)
from store.repositories.conflicts import NewRows, insert_new
from store.statements import Statement

_PAGE: Final = 500
_OWNER: Final = "optimization_id"
_ROUND_COLUMNS: Final = (
    *(_OWNER, "round", "fence", "ranking", "best_candidate_id", "best_reward", "spend", "rounds_left"),
)
_RANK: Final = Statement(
    update(Candidate)
    .where(Candidate.optimization_id == bindparam("of_optimization"), Candidate.id == bindparam("of_id"))
    .values(kept=bindparam("is_kept"), dropped_in_round=bindparam("dropped_in"))
)


_NAMES: Final = {
    draft: tuple(field.name for field in fields(draft))
    for draft in (CandidateDraft, EvaluationDraft, AnswerDraft)
}
# Statements are built once: a search records something every few calls.
_CANDIDATES: Final = NewRows(Candidate, (_OWNER, *_NAMES[CandidateDraft]))
_EVALUATIONS: Final = NewRows(Evaluation, (_OWNER, *_NAMES[EvaluationDraft]))
_ANSWERS: Final = NewRows(ExampleAnswer, (_OWNER, *_NAMES[AnswerDraft]))
_ROUND: Final = Statement(
    insert_new("postgresql", OptimizationRound).returning(OptimizationRound.round),
    on_sqlite=insert_new("sqlite", OptimizationRound).returning(OptimizationRound.round),
    columns=_ROUND_COLUMNS,
)


class ProgressLog:
    """Writes what a search does, and lets others follow it."""

    def __init__(self, db: Database, *, poll_seconds: float = 1.0) -> None:
        """Write to and read from ``db``.

        Args:
            db: the database.
            poll_seconds: how often a waiter looks for what other processes wrote.
        """
        self._db = db
        self._poll_seconds = poll_seconds

    async def record(self, lease: Lease, batch: ProgressBatch) -> int:
        """Record ``batch`` in one transaction. What has been recorded before is ignored.

        Args:
            lease: ours.
            batch: a candidate's parent, and an evaluation's candidate, are in it or were recorded before.

        Returns:
            How many of the events were new; they got the next numbers.

        Raises:
            LostLeaseError: the lease is not ours any more; nothing was recorded.
            ConflictError: a parent or a candidate is missing; nothing was recorded.
        """
        added = await self._db.write(lambda connection: self._write(connection, lease, batch))
        self._db.wakeups.notify(lease.optimization_id)
        return added

    async def events_after(
        self, optimization_id: str, seq: int, *, limit: int = _PAGE
    ) -> tuple[EventRecord, ...]:
        """The events with a number above ``seq``, in order; at most ``limit``."""
        statement = (
            select(OptimizationEvent)
            .where(OptimizationEvent.optimization_id == optimization_id, OptimizationEvent.seq > seq)
            .order_by(OptimizationEvent.seq)
            .limit(limit)
        )
        async with self._db.read() as session:
            return tuple(_event(row) for row in await session.scalars(statement))

    async def wait_for_events(
        self,
        optimization_id: str,
        after_seq: int,
        *,
        timeout: float,  # noqa: ASYNC109 - its end is an empty answer, not an error
        limit: int = _PAGE,
    ) -> tuple[EventRecord, ...]:
        """The events after ``after_seq``, as soon as there is one.

        What this process writes is seen at once; what others write, too, where a ``HintListener`` runs, and
        after a poll otherwise.

        Returns:
            At most ``limit`` of them; none where ``timeout`` seconds have passed without.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        with self._db.wakeups.listen(optimization_id) as changed:
            while True:
                changed.clear()
                events = await self.events_after(optimization_id, after_seq, limit=limit)
                left = deadline - loop.time()
                if events or left <= 0:
                    return events
                try:
                    async with asyncio.timeout(min(self._poll_seconds, left)):
                        await changed.wait()
                except TimeoutError:
                    continue

    def _write(self, connection: Connection, lease: Lease, batch: ProgressBatch) -> int:
        next_seq = held_seq(connection, lease)
        if next_seq is None:
            raise LostLeaseError(lease.optimization_id, lease.fence)
        owner = lease.optimization_id
        if batch.candidates:
            _CANDIDATES.add(connection, [_row(owner, draft) for draft in batch.candidates])
        if batch.evaluations:
            _EVALUATIONS.add(connection, [_row(owner, draft) for draft in batch.evaluations])
        if batch.answers:
            _ANSWERS.add(connection, [_row(owner, draft) for draft in batch.answers])
        for finished in batch.rounds:
            _add_round(connection, lease, finished)
        added = append_events(connection, lease.optimization_id, next_seq, batch.events)
        if added:
            send_hint(connection, lease.optimization_id)
        return added


def _add_round(connection: Connection, lease: Lease, draft: RoundDraft) -> None:
    values = {
        "optimization_id": lease.optimization_id,
        "round": draft.round,
        "fence": lease.fence,
        "ranking": list(draft.ranking),
        "best_candidate_id": draft.best_candidate_id,
        "best_reward": draft.best_reward,
        "spend": draft.spend,
        "rounds_left": draft.rounds_left,
    }
    if _ROUND.scalar(connection, values) is None:
        return  # a later round may have said otherwise about these candidates since
    dropped_in = dict.fromkeys(draft.kept) | dict.fromkeys(draft.dropped, draft.round)
    places = [
        {
            "of_optimization": lease.optimization_id,
            "of_id": candidate_id,
            "is_kept": round_number is None,
            "dropped_in": round_number,
        }
        for candidate_id, round_number in dropped_in.items()
    ]
    _RANK.execute(connection, places)


def _row(owner: str, draft: CandidateDraft | EvaluationDraft | AnswerDraft) -> dict[str, object]:
    """The draft's row; a tuple is a list there."""
    values = {name: getattr(draft, name) for name in _NAMES[type(draft)]}
    return {
        _OWNER: owner,
        **{name: list(value) if isinstance(value, tuple) else value for name, value in values.items()},
    }


def _event(row: OptimizationEvent) -> EventRecord:
    return EventRecord(key=row.key, type=row.type, body=row.body, seq=row.seq, at=row.at)
