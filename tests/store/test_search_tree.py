"""Pages of a search tree, and sums over it."""

import pytest

from store.connections import Database
from store.errors import NotFoundError
from store.progress import ProgressLog
from store.records.progress import ProgressBatch
from store.repositories.criterion_means import CriterionMeansRepository, CriterionSum
from store.repositories.search_tree import EvaluationFilter, SearchTreeRepository
from tests.store.steps import candidate, evaluation, event, new_lease


def verdicts(**scores: float | None) -> tuple[dict[str, str | float | None], ...]:
    return tuple(
        {"criterion": name, "score": score, "rationale": 'r "quoted"'} for name, score in scores.items()
    )


TREE = ProgressBatch(
    candidates=(
        candidate("b"),
        candidate("c", parent_id="b", round=1),
        candidate("a", parent_id="b", round=1),
        candidate("d", parent_id="a", round=2),
    ),
    evaluations=(
        evaluation("e1", "a", round=1, reward=4.0, criteria=verdicts(Clarity=4.0, Depth=2)),
        evaluation("e2", "c", round=1, reward=2.0, criteria=verdicts(Clarity=2.5, Depth=None)),
        evaluation("e0", "d", round=2, reward=None, unscored_reason="no answer"),
        evaluation("e3", "d", round=2, reward=3.0, criteria=verdicts(Depth=3.0), query_id="q2"),
        evaluation("h1", "a", round=-1, reward=5.0, phase="held_out", criteria=verdicts(Clarity=5.0)),
    ),
    events=(event("k1", n=1), event("k2", n=2)),
)


async def test_candidates_come_in_pages_and_by_round(database: Database) -> None:
    lease = await new_lease(database)
    await ProgressLog(database).record(lease, TREE)
    tree, job = SearchTreeRepository(database), lease.optimization_id
    assert [item.id for item in await tree.candidates(job)] == ["b", "a", "c", "d"]
    assert [item.id for item in await tree.candidates(job, limit=2)] == ["b", "a"]
    assert [item.id for item in await tree.candidates(job, after="a", limit=2)] == ["c", "d"]
    assert [item.id for item in await tree.candidates(job, round_=1, after="a")] == ["c"]
    with pytest.raises(NotFoundError, match="has no candidate z"):
        await tree.candidates(job, after="z")


async def test_evaluations_come_in_pages_and_by_what_is_wanted(database: Database) -> None:
    lease = await new_lease(database)
    await ProgressLog(database).record(lease, TREE)
    tree, job = SearchTreeRepository(database), lease.optimization_id

    async def keys(after: str | None = None, limit: int | None = None, **wanted: object) -> list[str]:
        chosen = EvaluationFilter(**wanted)  # type: ignore[arg-type]
        return [item.key for item in await tree.evaluations(job, chosen, after=after, limit=limit)]

    assert await keys() == ["h1", "e1", "e2", "e0", "e3"]
    assert await keys(limit=2) == ["h1", "e1"]
    assert await keys(after="e1", limit=2) == ["e2", "e0"]
    assert await keys(unscored=True) == ["e0"]
    assert await keys(unscored=False, round_=2) == ["e3"]
    assert await keys(query_id="q2") == ["e3"]
    assert await keys(candidate_id="a", phase="search") == ["e1"]
    with pytest.raises(NotFoundError, match="has no evaluation z"):
        await keys(after="z")


async def test_scores_are_read_without_texts_and_events_by_key(database: Database) -> None:
    lease = await new_lease(database)
    await ProgressLog(database).record(lease, TREE)
    tree, job = SearchTreeRepository(database), lease.optimization_id
    found = await tree.scores(job, ["a", "d"])
    assert sorted((item.candidate_id, item.phase, item.reward or 0.0) for item in found) == [
        ("a", "held_out", 5.0),
        ("a", "search", 4.0),
        ("d", "search", 0.0),
        ("d", "search", 3.0),
    ]
    assert await tree.announced(job, ["k2", "k9"]) == {"k2": {"n": 2}}


async def test_criteria_are_summed_by_round_and_by_candidate(database: Database) -> None:
    lease = await new_lease(database)
    await ProgressLog(database).record(lease, TREE)
    means, job = CriterionMeansRepository(database), lease.optimization_id

    def told(found: tuple[CriterionSum, ...]) -> list[tuple[object, ...]]:
        return [
            (item.candidate_id, item.phase, item.round, item.criterion, item.mean, item.evaluations)
            for item in found
        ]

    everything = [
        (None, "held_out", -1, "Clarity", 5.0, 1),
        (None, "search", 1, "Clarity", 3.25, 2),
        (None, "search", 1, "Depth", 2.0, 1),
        (None, "search", 2, "Depth", 3.0, 1),
    ]
    assert told(await means.by_round(job, limit=10)) == everything
    assert told(await means.by_round(job, phase="search", limit=1)) == everything[1:2]
    together = await means.by_round(job, phase="search", columns=1, limit=10)
    assert [
        (item.round, item.last_round, item.criterion, item.mean, item.evaluations) for item in together
    ] == [
        (1, 1, "Clarity", 3.25, 2),
        (1, 2, "Depth", 2.5, 2),
    ]
    assert told(await means.by_round(job, columns=3, limit=10)) == everything
    of = await means.of_candidates(job, ["a", "c"], phase="search")
    assert told(of) == [
        ("a", "search", 1, "Clarity", 4.0, 1),
        ("c", "search", 1, "Clarity", 2.5, 1),
        ("a", "search", 1, "Depth", 2.0, 1),
    ]
