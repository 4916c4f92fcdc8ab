"""A search at a glance, from its outline: the best candidates and where they come from, rounds, the end."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from app.optimizations.schemas import Drop
from app.optimizations.tree_schemas import RoundSpend, SearchTree, TreeNode, TreeRound
from optimizer.types import JsonObject
from store.records.optimizations import OptimizationRecord
from store.repositories.optimization_rows import FINISHED_EVENT
from store.repositories.search_outline import OutlinedCandidate, OutlinedRound, SearchOutline

SEARCH_STARTED: Final = "search_started"
SEARCH_FINISHED: Final = "search_finished"
GATE_STARTED: Final = "gate_started"
JUDGE_CHECKED: Final = "judge_checked"
GATE_FINISHED: Final = "gate_finished"
TOLD: Final = (SEARCH_STARTED, SEARCH_FINISHED, GATE_STARTED, JUDGE_CHECKED, GATE_FINISHED, FINISHED_EVENT)
"""Keys of the events that the tree is told with."""
_MOST_ROUNDS: Final = 500

Phase: TypeAlias = Literal["queued", "search", "gate", "finished"]


def show_tree(
    record: OptimizationRecord,
    outline: SearchOutline,
    *,
    limit: int,
    skip: int = 0,
    wanted: Collection[str] = (),
) -> SearchTree:
    """The tree of a job.

    Args:
        record: the job.
        outline: of its search, with the events ``TOLD``.
        limit: so many candidates at most, their ancestors left out.
        skip: so many of the best are left out.
        wanted: candidates that are shown in any case, as far as there are such.
    """
    leader = _leader(outline)
    expected = _expected(outline.rounds)
    ranked = sorted(outline.candidates, key=lambda one: _worth(one, expected, leader), reverse=True)
    places = {one.id: place for place, one in enumerate(ranked, start=1)}
    chosen = [one.id for one in ranked[skip : skip + limit]]
    by_id = {one.id: one for one in ranked}
    chosen += [name for name in wanted if name in by_id]
    last = outline.rounds[-1].round if outline.rounds else 0
    return SearchTree(
        seq=outline.seq,
        phase=_phase(record, outline.told),
        candidates=len(ranked),
        leader_id=leader,
        data=[
            _node(one, places[one.id], expected.get(one.id), _drop(one, outline.drops.get(one.id), last))
            for one in _with_ancestors(chosen, by_id)
        ],
        rounds=[_round(one) for one in _spread(outline.rounds)],
        gate=outline.told.get(GATE_FINISHED),
        judge=outline.told.get(JUDGE_CHECKED),
    )


def _leader(outline: SearchOutline) -> str | None:
    ended = outline.told.get(SEARCH_FINISHED, {}).get("best_candidate_id")
    if isinstance(ended, str):
        return ended
    if outline.rounds:
        return outline.rounds[-1].best_candidate_id
    first = outline.told.get(SEARCH_STARTED, {}).get("candidate_id")
    return first if isinstance(first, str) else None


def _expected(rounds: Iterable[OutlinedRound]) -> dict[str, float]:
    """What the search expected of each candidate when it was last ranked."""
    return {
        str(place["candidate_id"]): float(reward)
        for finished in rounds
        for place in finished.ranking
        if isinstance(reward := place["reward"], int | float)
    }


def _worth(one: OutlinedCandidate, expected: Mapping[str, float], leader: str | None) -> tuple[bool, float]:
    measured = -math.inf if one.mean is None else one.mean
    return one.id == leader, expected.get(one.id, measured)


def _with_ancestors(names: Iterable[str], by_id: Mapping[str, OutlinedCandidate]) -> list[OutlinedCandidate]:
    found = dict.fromkeys(names)
    for name in list(found):
        above = by_id[name].parent_id
        while above is not None and above not in found:
            found[above] = None
            above = by_id[above].parent_id
    return [by_id[name] for name in found]


def _drop(one: OutlinedCandidate, told: JsonObject | None, last_round: int) -> tuple[int, Drop | None] | None:
    """The round in which a candidate was dropped, and why a race has done so.

    A race says so before its round ends; a later ranking may have taken the candidate back.
    """
    if told is not None and (one.dropped_in_round is not None or int(str(told["round"])) > last_round):
        return int(str(told["round"])), Drop.model_validate(told)
    return None if one.dropped_in_round is None else (one.dropped_in_round, None)


def _node(
    one: OutlinedCandidate, place: int, reward: float | None, dropped: tuple[int, Drop | None] | None
) -> TreeNode:
    round_, drop = dropped or (None, None)
    return TreeNode(
        id=one.id,
        place=place,
        parent_id=one.parent_id,
        round=one.round,
        reward=reward,
        mean=one.mean,
        evaluations=one.judged,
        unscored=one.judged - one.scored,
        dropped_in_round=round_,
        drop=drop,
    )


def _round(one: OutlinedRound) -> TreeRound:
    return TreeRound(
        round=one.round,
        best_candidate_id=one.best_candidate_id,
        reward=one.best_reward,
        spend=RoundSpend.of(one.spend),
    )


def _spread(rounds: Sequence[OutlinedRound]) -> list[OutlinedRound]:
    """At most ``_MOST_ROUNDS`` of them, the first and the last among them."""
    if len(rounds) <= _MOST_ROUNDS:
        return list(rounds)
    step = (len(rounds) - 1) / (_MOST_ROUNDS - 1)
    return [rounds[round(place * step)] for place in range(_MOST_ROUNDS)]


def _phase(record: OptimizationRecord, told: Collection[str]) -> Phase:
    if record.status.is_final or FINISHED_EVENT in told:
        return "finished"
    if GATE_STARTED in told:
        return "gate"
    return "search" if SEARCH_STARTED in told else "queued"
