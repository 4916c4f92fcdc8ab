"""What a search has recorded so far: its rounds, candidates and evaluations."""

from dataclasses import dataclass

from sqlalchemy import func, select

from store.connections import Database
from store.models.candidate import Candidate
from store.models.evaluation import Evaluation
from store.models.optimization_round import OptimizationRound
from store.records.progress import CandidateRecord, EvaluationRecord, RoundRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationCounts:
    """How many rollouts were judged.

    Attributes:
        search / held_out: in the search, and in the gate.
        unscored: those of the search without a score.
        held_out_queries: different queries among the gate's.
    """

    search: int
    held_out: int
    unscored: int
    held_out_queries: int


class SearchTreeRepository:
    """Reads what ``store.progress`` has written. An unknown optimization has an empty tree."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def rounds(self, optimization_id: str, *, until: int | None = None) -> tuple[RoundRecord, ...]:
        """The finished rounds, in order; only those up to the round ``until``, where one is named."""
        statement = select(OptimizationRound).where(OptimizationRound.optimization_id == optimization_id)
        if until is not None:
            statement = statement.where(OptimizationRound.round <= until)
        async with self._db.read() as session:
            rows = await session.scalars(statement.order_by(OptimizationRound.round))
            return tuple(_round(row) for row in rows)

    async def candidates(self, optimization_id: str) -> tuple[CandidateRecord, ...]:
        """The candidates, parents before their children."""
        statement = select(Candidate).where(Candidate.optimization_id == optimization_id)
        async with self._db.read() as session:
            rows = await session.scalars(statement.order_by(Candidate.round, Candidate.id))
            return tuple(_candidate(row) for row in rows)

    async def candidate(self, optimization_id: str, candidate_id: str) -> CandidateRecord | None:
        """One candidate, or None."""
        async with self._db.read() as session:
            row = await session.get(Candidate, (optimization_id, candidate_id))
            return None if row is None else _candidate(row)

    async def counts(self, optimization_id: str) -> EvaluationCounts:
        """How far the evaluations of an optimization are."""
        statement = (
            select(
                Evaluation.phase,
                func.count(),
                func.count(Evaluation.reward),
                func.count(Evaluation.query_id.distinct()),
            )
            .where(Evaluation.optimization_id == optimization_id)
            .group_by(Evaluation.phase)
        )
        async with self._db.read() as session:
            rows = {phase: numbers for phase, *numbers in await session.execute(statement)}
        judged, scored, _ = rows.get("search", (0, 0, 0))
        held_out, _, held_out_queries = rows.get("held_out", (0, 0, 0))
        return EvaluationCounts(
            search=judged,
            held_out=held_out,
            unscored=judged - scored,
            held_out_queries=held_out_queries,
        )

    async def evaluations(
        self, optimization_id: str, *, candidate_id: str | None = None, phase: str | None = None
    ) -> tuple[EvaluationRecord, ...]:
        """The evaluations by round and key.

        Args:
            optimization_id: of this optimization.
            candidate_id: only of this candidate.
            phase: only ``search`` or ``held_out``.
        """
        statement = select(Evaluation).where(Evaluation.optimization_id == optimization_id)
        if candidate_id is not None:
            statement = statement.where(Evaluation.candidate_id == candidate_id)
        if phase is not None:
            statement = statement.where(Evaluation.phase == phase)
        async with self._db.read() as session:
            rows = await session.scalars(statement.order_by(Evaluation.round, Evaluation.key))
            return tuple(_evaluation(row) for row in rows)


def _round(row: OptimizationRound) -> RoundRecord:
    return RoundRecord(
        round=row.round,
        fence=row.fence,
        ranking=tuple(row.ranking),
        best_candidate_id=row.best_candidate_id,
        best_reward=row.best_reward,
        spend=row.spend,
        rounds_left=row.rounds_left,
        at=row.at,
    )


def _candidate(row: Candidate) -> CandidateRecord:
    return CandidateRecord(
        id=row.id,
        system_prompt=row.system_prompt,
        parent_id=row.parent_id,
        round=row.round,
        rationale=row.rationale,
        template_version=row.template_version,
        kept=row.kept,
        dropped_in_round=row.dropped_in_round,
        at=row.at,
    )


def _evaluation(row: Evaluation) -> EvaluationRecord:
    return EvaluationRecord(
        key=row.key,
        candidate_id=row.candidate_id,
        round=row.round,
        query_id=row.query_id,
        query=row.query,
        query_kind=row.query_kind,
        phase=row.phase,
        answer=row.answer,
        failure=row.failure,
        example_ids=tuple(row.example_ids),
        reward=row.reward,
        unscored_reason=row.unscored_reason,
        criteria=tuple(row.criteria),
        selection_rationale=row.selection_rationale,
        models=row.models,
        seed=row.seed,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        seconds=row.seconds,
        at=row.at,
    )
