"""The outline of a search: all of one moment, without texts."""

from store.connections import Database
from store.json_values import JsonObject
from store.progress import ProgressLog
from store.records.progress import EventDraft, ProgressBatch, RoundDraft
from store.repositories.search_outline import SearchOutlineRepository
from tests.store.steps import candidate, evaluation, event, new_lease


def dropped(name: str, round_: int) -> EventDraft:
    body: JsonObject = {"candidate_id": name, "round": round_}
    return EventDraft(key=f"candidate_dropped:{round_}:{name}", type="candidate_dropped", body=body)


async def test_an_outline_has_every_candidate_what_it_came_to_and_its_last_drop(database: Database) -> None:
    lease = await new_lease(database)
    ranked = RoundDraft(
        round=1,
        ranking=({"candidate_id": "c2", "reward": 3.5, "round_reward": None, "kept": True},),
        best_candidate_id="c2",
        best_reward=3.5,
        spend={"calls": 12},
        kept=("c2",),
        dropped=("c10",),
    )
    batch = ProgressBatch(
        candidates=(
            candidate("c0"),
            candidate("c10", parent_id="c0", round=1),
            candidate("c2", parent_id="c0", round=1),
        ),
        evaluations=(
            evaluation("e1", "c2", round=1, reward=4.0),
            evaluation("e2", "c2", round=1, reward=3.0),
            evaluation("e3", "c2", round=1, reward=None, unscored_reason="no answer"),
            evaluation("h1", "c2", round=-1, reward=1.0, phase="held_out"),
        ),
        rounds=(ranked,),
        events=(dropped("c10", 1), event("told", n=7), dropped("c10", 2), event("untold", n=8)),
    )
    await ProgressLog(database).record(lease, batch)
    outlines = SearchOutlineRepository(database)
    found = await outlines.read(lease.optimization_id, keys=["told", "missing"])
    assert [item.id for item in found.candidates] == ["c0", "c2", "c10"]
    best = found.candidates[1]
    assert (best.parent_id, best.judged, best.scored, best.mean) == ("c0", 3, 2, 3.5)
    assert (found.candidates[0].judged, found.candidates[0].mean) == (0, None)
    assert found.candidates[2].dropped_in_round == 1
    assert found.drops == {"c10": {"candidate_id": "c10", "round": 2}}
    assert [(item.round, item.best_candidate_id, item.spend) for item in found.rounds] == [
        (1, "c2", {"calls": 12})
    ]
    assert found.told == {"told": {"n": 7}}
    assert found.seq == (await ProgressLog(database).events_after(lease.optimization_id, 0))[-1].seq


async def test_a_job_that_has_not_begun_has_an_empty_outline(database: Database) -> None:
    lease = await new_lease(database)
    outlines = SearchOutlineRepository(database)
    for name, seq in ((lease.optimization_id, 1), ("opt_none", 0)):
        found = await outlines.read(name)
        assert (found.seq, found.candidates, found.rounds, found.drops, found.told) == (seq, (), (), {}, {})
