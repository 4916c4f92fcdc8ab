"""A search at a glance, as the API shows it: bounded, however many candidates there are."""

from typing import Literal, Self

from pydantic import BaseModel, ValidationError

from app.optimizations.schemas import Drop
from optimizer.types import JsonObject


class TreeNode(BaseModel):
    """A candidate of a search tree, without its texts.

    Attributes:
        place: in the order of the tree, from 1 on.
        reward: what the search expected of it when it was last ranked; null where it never was.
        mean: mean reward of its rollouts in the search; null where none was scored.
        evaluations / unscored: those rollouts, and those of them without a score.
        dropped_in_round / drop: when it was dropped, and why, where a race has dropped it.
    """

    id: str
    place: int
    parent_id: str | None
    round: int
    reward: float | None
    mean: float | None
    evaluations: int
    unscored: int
    dropped_in_round: int | None
    drop: Drop | None


class RoundSpend(BaseModel):
    """What a job has taken until a round's end: model calls, tokens in and out, and money."""

    calls: int
    tokens: int
    cost: float

    @classmethod
    def of(cls, recorded: JsonObject) -> Self | None:
        """What the round has recorded; None where an older version has made it."""
        try:
            known = _Recorded.model_validate(recorded)
        except ValidationError:
            return None
        return cls(calls=known.calls, tokens=known.prompt_tokens + known.completion_tokens, cost=known.cost)


class _Recorded(BaseModel):
    calls: int
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class TreeRound(BaseModel):
    """A finished round: who led then, and the spend until then; null where an older version has made it."""

    round: int
    best_candidate_id: str | None
    reward: float | None
    spend: RoundSpend | None


class SearchTree(BaseModel):
    """A search as of the event ``seq``: what came later, ``events`` tells after ``Last-Event-ID``.

    Attributes:
        seq: 0 before the first event.
        phase: as in the job's progress.
        candidates: in all.
        leader_id: who leads, or has been chosen.
        data: the leader, then by ``reward`` or, where there is none, by ``mean``, the highest first; after
            them their ancestors and whoever was asked for, as far as they are not among them.
        rounds: some of them, evenly spread, where there are very many; the first and the last always.
        gate / judge: how the gate has ended, and how far the judge agrees with itself; null before.
    """

    object: Literal["search_tree"] = "search_tree"
    seq: int
    phase: Literal["queued", "search", "gate", "finished"]
    candidates: int
    leader_id: str | None
    data: list[TreeNode]
    rounds: list[TreeRound]
    gate: JsonObject | None
    judge: JsonObject | None
