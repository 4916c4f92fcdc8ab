"""The outline of a search as of one of its events: who there is, how they did, who was dropped; no texts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from store.connections import Database, Session
from store.json_values import JsonObject
from store.models.candidate import Candidate
from store.models.evaluation import Evaluation
from store.models.optimization import Optimization
from store.models.optimization_event import OptimizationEvent
from store.models.optimization_round import OptimizationRound
from store.repositories.search_tree import read_drops


@dataclass(frozen=True, kw_only=True, slots=True)
class OutlinedCandidate:
    """A candidate without its texts.

    Attributes:
        judged / scored: its rollouts in the search, and those of them with a score.
        mean: of their rewards; None where none is scored.
    """

    id: str
    parent_id: str | None
    round: int
    dropped_in_round: int | None
    judged: int
    scored: int
    mean: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutlinedRound:
    """A finished round, as in ``RoundRecord``."""

    round: int
    ranking: tuple[JsonObject, ...]
    best_candidate_id: str | None
    best_reward: float | None
    spend: JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchOutline:
    """All of a search as of the event ``seq``, 0 before the first one.

    Attributes:
        candidates: by round; of a round in the order in which their ids count.
        rounds: in order.
        drops: by candidate, the body of the last event that says why a race has dropped it.
        told: by key, the bodies of the events that were asked for.
    """

    seq: int
    candidates: tuple[OutlinedCandidate, ...]
    rounds: tuple[OutlinedRound, ...]
    drops: Mapping[str, JsonObject]
    told: Mapping[str, JsonObject]


class SearchOutlineRepository:
    """Reads what ``store.progress`` has written. An unknown optimization has an empty outline."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def read(self, optimization_id: str, *, keys: Collection[str] = ()) -> SearchOutline:
        """The outline as one moment had it: every event up to its ``seq`` is in it, and none after that.

        Args:
            optimization_id: of this optimization.
            keys: of events whose bodies are wanted, too.
        """
        async with self._db.read() as session:
            if self._db.dialect == "postgresql":  # SQLite's reads are of one moment anyway
                _ = await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            next_seq = await session.scalar(
                select(Optimization.next_seq).where(Optimization.id == optimization_id)
            )
            return SearchOutline(
                seq=(next_seq or 1) - 1,
                candidates=await _candidates(session, optimization_id),
                rounds=await _rounds(session, optimization_id),
                drops=await read_drops(session, optimization_id),
                told=await _told(session, optimization_id, keys),
            )


async def _candidates(session: Session, optimization_id: str) -> tuple[OutlinedCandidate, ...]:
    sums = (
        select(
            Evaluation.candidate_id, func.count(), func.count(Evaluation.reward), func.avg(Evaluation.reward)
        )
        .where(Evaluation.optimization_id == optimization_id, Evaluation.phase == "search")
        .group_by(Evaluation.candidate_id)
    )
    judged = {name: (count, scored, mean) for name, count, scored, mean in await session.execute(sums)}
    rows = await session.execute(
        select(Candidate.id, Candidate.parent_id, Candidate.round, Candidate.dropped_in_round)
        .where(Candidate.optimization_id == optimization_id)
        .order_by(Candidate.round, func.length(Candidate.id), Candidate.id)
    )
    found = []
    for name, parent, round_, dropped in rows:
        count, scored, mean = judged.get(name, (0, 0, None))
        found.append(
            OutlinedCandidate(
                id=name,
                parent_id=parent,
                round=round_,
                dropped_in_round=dropped,
                judged=count,
                scored=scored,
                mean=mean,
            )
        )
    return tuple(found)


async def _rounds(session: Session, optimization_id: str) -> tuple[OutlinedRound, ...]:
    rows = await session.execute(
        select(
            OptimizationRound.round,
            OptimizationRound.ranking,
            OptimizationRound.best_candidate_id,
            OptimizationRound.best_reward,
            OptimizationRound.spend,
        )
        .where(OptimizationRound.optimization_id == optimization_id)
        .order_by(OptimizationRound.round)
    )
    return tuple(
        OutlinedRound(
            round=number, ranking=tuple(ranking), best_candidate_id=best, best_reward=reward, spend=spend
        )
        for number, ranking, best, reward, spend in rows
    )


async def _told(session: Session, optimization_id: str, keys: Collection[str]) -> dict[str, JsonObject]:
    rows = await session.execute(
        select(OptimizationEvent.key, OptimizationEvent.body).where(
            OptimizationEvent.optimization_id == optimization_id, OptimizationEvent.key.in_(keys)
        )
    )
    return {row[0]: row[1] for row in rows}
