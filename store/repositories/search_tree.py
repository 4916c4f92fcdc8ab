"""What a search has recorded so far: its rounds, candidates and evaluations."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Select, func, select, tuple_

from store.connections import Database, Session
from store.errors import NotFoundError
from store.json_values import JsonObject
from store.models.candidate import Candidate
from store.models.evaluation import Evaluation
from store.models.optimization_event import OptimizationEvent
from store.models.optimization_round import OptimizationRound
from store.records.progress import CandidateRecord, EvaluationRecord, RoundRecord

_DROPPED = "candidate_dropped"
_MOST_KEYS = 5_000
"""That one statement asks for: databases bound the parameters of one."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateScore:
    """One evaluation of a candidate without its texts; ``criteria`` as in ``EvaluationDraft``."""

    candidate_id: str
    phase: str
    reward: float | None
    criteria: tuple[JsonObject, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationFilter:
    """Which evaluations are wanted; a field that is None lets all through.

    Attributes:
        phase: ``search`` or ``held_out``.
        unscored: those without a score, or those with one.
    """

    candidate_id: str | None = None
    query_id: str | None = None
    phase: str | None = None
    round_: int | None = None
    unscored: bool | None = None

    def applied(self, statement: Select[Evaluation]) -> Select[Evaluation]:
        """``statement`` with what is not wanted left out."""
        for column, value in (
            (Evaluation.candidate_id, self.candidate_id),
            (Evaluation.query_id, self.query_id),
            (Evaluation.phase, self.phase),
            (Evaluation.round, self.round_),
        ):
            if value is not None:
                statement = statement.where(column == value)
        if self.unscored is not None:
            is_unscored = Evaluation.reward.is_(None)
            statement = statement.where(is_unscored if self.unscored else ~is_unscored)
        return statement


EVERYTHING = EvaluationFilter()


class SearchTreeRepository:
    """Reads what ``store.progress`` has written. An unknown optimization has an empty tree."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def rounds(
        self, optimization_id: str, *, after: int | None = None, until: int | None = None
    ) -> tuple[RoundRecord, ...]:
        """The finished rounds, in order; where they are named, those later than ``after`` up to ``until``."""
        statement = select(OptimizationRound).where(OptimizationRound.optimization_id == optimization_id)
        if after is not None:
            statement = statement.where(OptimizationRound.round > after)
        if until is not None:
            statement = statement.where(OptimizationRound.round <= until)
        async with self._db.read() as session:
            rows = await session.scalars(statement.order_by(OptimizationRound.round))
            return tuple(_round(row) for row in rows)

    async def candidates(
        self,
        optimization_id: str,
        *,
        round_: int | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> tuple[CandidateRecord, ...]:
        """The candidates, parents before their children.

        Args:
            optimization_id: of this optimization.
            round_: only those of this round.
            after: only those that follow the candidate with this id.
            limit: at most so many.

        Raises:
            NotFoundError: there is no candidate ``after``.
        """
        statement = select(Candidate).where(Candidate.optimization_id == optimization_id)
        if round_ is not None:
            statement = statement.where(Candidate.round == round_)
        async with self._db.read() as session:
            if after is not None:
                seen = await session.get(Candidate, (optimization_id, after))
                if seen is None:
                    raise NotFoundError(f"{optimization_id} has no candidate {after}")
                statement = statement.where(tuple_(Candidate.round, Candidate.id) > (seen.round, seen.id))
            rows = await session.scalars(statement.order_by(Candidate.round, Candidate.id).limit(limit))
            return tuple(_candidate(row) for row in rows)

    async def scores(
        self, optimization_id: str, candidate_ids: Collection[str]
    ) -> tuple[CandidateScore, ...]:
        """What the evaluations of some candidates have come to, without their texts."""
        statement = select(
            Evaluation.candidate_id, Evaluation.phase, Evaluation.reward, Evaluation.criteria
        ).where(Evaluation.optimization_id == optimization_id, Evaluation.candidate_id.in_(candidate_ids))
        async with self._db.read() as session:
            return tuple(
                CandidateScore(candidate_id=candidate, phase=phase, reward=reward, criteria=tuple(criteria))
                for candidate, phase, reward, criteria in await session.execute(statement)
            )

    async def announced(self, optimization_id: str, keys: Collection[str]) -> dict[str, JsonObject]:
        """The bodies of the events with some keys, by key; those that there are."""
        wanted = list(keys)
        found: dict[str, JsonObject] = {}
        of_job = OptimizationEvent.optimization_id == optimization_id
        async with self._db.read() as session:
            for start in range(0, len(wanted), _MOST_KEYS):
                some = OptimizationEvent.key.in_(wanted[start : start + _MOST_KEYS])
                statement = select(OptimizationEvent.key, OptimizationEvent.body).where(of_job, some)
                found |= {row[0]: row[1] for row in await session.execute(statement)}
        return found

    async def drops(self, optimization_id: str) -> dict[str, JsonObject]:
        """By candidate, the body of the last event that says why a race has dropped it."""
        async with self._db.read() as session:
            return await read_drops(session, optimization_id)

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
        self,
        optimization_id: str,
        wanted: EvaluationFilter = EVERYTHING,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> tuple[EvaluationRecord, ...]:
        """The evaluations by round and key.

        Args:
            optimization_id: of this optimization.
            wanted: only these.
            after: only those that follow the evaluation with this key.
            limit: at most so many.

        Raises:
            NotFoundError: there is no evaluation ``after``.
        """
        statement = wanted.applied(select(Evaluation).where(Evaluation.optimization_id == optimization_id))
        async with self._db.read() as session:
            if after is not None:
                seen = await session.get(Evaluation, (optimization_id, after))
                if seen is None:
                    raise NotFoundError(f"{optimization_id} has no evaluation {after}")
                statement = statement.where(tuple_(Evaluation.round, Evaluation.key) > (seen.round, seen.key))
            rows = await session.scalars(statement.order_by(Evaluation.round, Evaluation.key).limit(limit))
            return tuple(_evaluation(row) for row in rows)


async def read_drops(session: Session, optimization_id: str) -> dict[str, JsonObject]:
    """As ``SearchTreeRepository.drops``, in a transaction that is open."""
    bodies = await session.scalars(
        select(OptimizationEvent.body)
        .where(OptimizationEvent.optimization_id == optimization_id, OptimizationEvent.type == _DROPPED)
        .order_by(OptimizationEvent.seq)
    )
    return {str(body["candidate_id"]): body for body in bodies}


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
