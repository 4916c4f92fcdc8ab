"""What a search records, and how others follow it."""

import asyncio
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.connections import Database
from store.errors import ConflictError, LostLeaseError
from store.progress import ProgressLog
from store.records.progress import EventDraft, EventRecord, ProgressBatch, RoundDraft
from store.repositories.optimization_rows import STARTED_EVENT
from store.repositories.optimizations import OptimizationRepository
from store.repositories.search_tree import EvaluationCounts, EvaluationFilter, SearchTreeRepository
from tests.store.steps import candidate, evaluation, event, new_lease, new_optimization, take_over

FULL = ProgressBatch(
    candidates=(
        candidate("c0"),
        candidate("c1.0.0", parent_id="c0", round=1, rationale="shorter", template_version="abc"),
        candidate("c1.0.1", parent_id="c0", round=1),
    ),
    evaluations=(
        evaluation(
            "e1",
            "c1.0.0",
            round=1,
            query_kind="code",
            answer="because",
            example_ids=("x1", "x2"),
            criteria=({"criterion": "Clarity", "score": 4.0, "rationale": "clear"},),
            selection_rationale="it matters",
            seed=2**31 - 1,
            prompt_tokens=10,
            completion_tokens=5,
            seconds=0.25,
        ),
        evaluation("e2", "c1.0.1", round=1, phase="held_out", reward=None, unscored_reason="no answer"),
    ),
    rounds=(
        RoundDraft(
            round=1,
            ranking=({"candidate_id": "c1.0.0", "reward": 4.0}, {"candidate_id": "c1.0.1", "reward": None}),
            best_candidate_id="c1.0.0",
            best_reward=4.0,
            rounds_left=3,
            spend={"calls": 7},
            kept=("c1.0.0",),
            dropped=("c1.0.1",),
        ),
    ),
    events=(event("k1", n=1), event("k2", n=2)),
)


def _seqs(events: tuple[EventRecord, ...]) -> list[int]:
    return [item.seq for item in events]


async def test_a_batch_is_recorded_with_everything_in_it(database: Database) -> None:
    lease = await new_lease(database)
    tree = SearchTreeRepository(database)

    assert await ProgressLog(database).record(lease, FULL) == 2

    candidates = await tree.candidates(lease.optimization_id)
    assert [item.id for item in candidates] == ["c0", "c1.0.0", "c1.0.1"]
    assert [(item.kept, item.dropped_in_round) for item in candidates] == [
        (None, None),
        (True, None),
        (False, 1),
    ]
    evaluations = await tree.evaluations(lease.optimization_id)
    for recorded, draft in zip(evaluations, FULL.evaluations, strict=True):
        assert asdict(recorded) == asdict(draft) | {"at": recorded.at}
    (finished,) = await tree.rounds(lease.optimization_id)
    assert finished.ranking == FULL.rounds[0].ranking
    assert (finished.fence, finished.best_candidate_id, finished.best_reward) == (1, "c1.0.0", 4.0)
    assert finished.rounds_left == 3
    assert finished.spend == {"calls": 7}
    events = await ProgressLog(database).events_after(lease.optimization_id, 0)
    assert [(item.seq, item.type) for item in events] == [(1, STARTED_EVENT), (2, "test"), (3, "test")]
    assert (await OptimizationRepository(database).get(lease.optimization_id)).last_seq == 3


async def test_recording_the_same_again_changes_nothing(database: Database) -> None:
    lease = await new_lease(database)
    log, tree = ProgressLog(database), SearchTreeRepository(database)

    async def everything() -> list[object]:
        of = lease.optimization_id
        return [
            await tree.candidates(of),
            await tree.evaluations(of),
            await tree.rounds(of),
            await log.events_after(of, 0),
        ]

    await log.record(lease, FULL)
    before = await everything()
    later = await take_over(database, lease)
    assert await log.record(later, FULL) == 0
    after = await everything()
    assert after[:3] == before[:3]
    recorded = await log.events_after(lease.optimization_id, 0)
    assert [item.key for item in recorded] == [f"{STARTED_EVENT}:1", "k1", "k2", f"{STARTED_EVENT}:2"]


async def test_an_old_round_does_not_bring_back_what_a_later_one_dropped(database: Database) -> None:
    lease = await new_lease(database)
    log = ProgressLog(database)
    first = RoundDraft(round=1, ranking=(), best_candidate_id=None, best_reward=None, spend={}, kept=("c0",))
    second = RoundDraft(
        round=2, ranking=(), best_candidate_id=None, best_reward=None, spend={}, dropped=("c0",)
    )
    await log.record(lease, ProgressBatch(candidates=(candidate("c0"),), rounds=(first,)))
    await log.record(lease, ProgressBatch(rounds=(second,)))
    await log.record(lease, ProgressBatch(rounds=(first,)))
    (recorded,) = await SearchTreeRepository(database).candidates(lease.optimization_id)
    assert (recorded.kept, recorded.dropped_in_round) == (False, 2)


async def test_evaluations_are_found_by_candidate_and_by_phase(database: Database) -> None:
    lease = await new_lease(database)
    await ProgressLog(database).record(lease, FULL)
    tree = SearchTreeRepository(database)
    by_candidate = await tree.evaluations(lease.optimization_id, EvaluationFilter(candidate_id="c1.0.0"))
    by_phase = await tree.evaluations(lease.optimization_id, EvaluationFilter(phase="held_out"))
    assert [item.key for item in by_candidate] == ["e1"]
    assert [item.key for item in by_phase] == ["e2"]


async def test_evaluations_are_counted_by_phase(database: Database) -> None:
    lease = await new_lease(database)
    log, tree = ProgressLog(database), SearchTreeRepository(database)
    empty = EvaluationCounts(search=0, held_out=0, unscored=0, held_out_queries=0)
    assert await tree.counts(lease.optimization_id) == empty
    await log.record(lease, FULL)
    more = evaluation("e3", reward=None, unscored_reason="the judge said nothing")
    await log.record(lease, ProgressBatch(evaluations=(more,)))
    counted = EvaluationCounts(search=2, held_out=1, unscored=1, held_out_queries=1)
    assert await tree.counts(lease.optimization_id) == counted


async def test_one_candidate_is_found_by_its_id(database: Database) -> None:
    lease = await new_lease(database)
    tree = SearchTreeRepository(database)
    await ProgressLog(database).record(lease, FULL)
    found = await tree.candidate(lease.optimization_id, "c1.0.0")
    assert found is not None
    assert found.rationale == "shorter"
    assert await tree.candidate(lease.optimization_id, "c7") is None


@pytest.mark.parametrize(
    "broken",
    [
        ProgressBatch(candidates=(candidate("c9", parent_id="nobody"),)),
        ProgressBatch(evaluations=(evaluation("e9", "nobody"),)),
        ProgressBatch(evaluations=(evaluation("e9", reward=None),)),
        ProgressBatch(evaluations=(evaluation("e9", unscored_reason="but it has a reward"),)),
        ProgressBatch(evaluations=(evaluation("e9", phase="another"),)),
    ],
)
async def test_a_batch_that_contradicts_itself_is_refused_whole(
    database: Database, broken: ProgressBatch
) -> None:
    lease = await new_lease(database)
    log = ProgressLog(database)
    await log.record(lease, ProgressBatch(candidates=(candidate("c0"),)))
    whole = ProgressBatch(
        candidates=(candidate("c1"), *broken.candidates),
        evaluations=broken.evaluations,
        events=(event("k"),),
    )
    with pytest.raises(ConflictError):
        await log.record(lease, whole)
    candidates = await SearchTreeRepository(database).candidates(lease.optimization_id)
    assert [item.id for item in candidates] == ["c0"]
    assert _seqs(await log.events_after(lease.optimization_id, 0)) == [1]


async def test_a_zombie_records_nothing(database: Database) -> None:
    zombie = await new_lease(database)
    log, tree = ProgressLog(database), SearchTreeRepository(database)
    successor = await take_over(database, zombie)

    with pytest.raises(LostLeaseError) as lost:
        await log.record(zombie, FULL)

    assert lost.value.fence == zombie.fence
    assert await tree.candidates(zombie.optimization_id) == ()
    assert await tree.evaluations(zombie.optimization_id) == ()
    assert await tree.rounds(zombie.optimization_id) == ()
    assert await log.record(successor, FULL) == 2


async def test_text_that_no_database_can_hold_is_recorded_without_the_offending_characters(
    database: Database,
) -> None:
    lease = await new_lease(database)
    log = ProgressLog(database)
    odd = "a\x00b\ud800c"
    batch = ProgressBatch(
        candidates=(candidate("c0", system_prompt=odd),),
        events=(EventDraft(key="k", type="test", body={odd: [odd, {"n": 1}]}),),
    )
    await log.record(lease, batch)
    (recorded,) = await SearchTreeRepository(database).candidates(lease.optimization_id)
    assert recorded.system_prompt == "a\ufffdb\ufffdc"
    (_, announced) = await log.events_after(lease.optimization_id, 0)
    assert announced.body == {"a\ufffdb\ufffdc": ["a\ufffdb\ufffdc", {"n": 1}]}


async def test_events_are_read_in_pages(database: Database) -> None:
    lease = await new_lease(database)
    log = ProgressLog(database)
    await log.record(lease, ProgressBatch(events=tuple(event(f"k{n}") for n in range(6))))
    of = lease.optimization_id
    assert _seqs(await log.events_after(of, 0, limit=3)) == [1, 2, 3]
    assert _seqs(await log.events_after(of, 3, limit=3)) == [4, 5, 6]
    assert _seqs(await log.events_after(of, 6, limit=3)) == [7]
    assert await log.events_after(of, 7) == ()


async def test_a_waiter_gets_what_is_there_already(database: Database) -> None:
    lease = await new_lease(database)
    events = await ProgressLog(database).wait_for_events(lease.optimization_id, 0, timeout=60)
    assert _seqs(events) == [1]


async def test_a_waiter_is_woken_by_a_record_in_this_process(database: Database) -> None:
    lease = await new_lease(database)
    log = ProgressLog(database, poll_seconds=3600)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(log.wait_for_events(lease.optimization_id, 1, timeout=60))
        await asyncio.sleep(0)
        await log.record(lease, ProgressBatch(events=(event("k"),)))
    assert _seqs(waiting.result()) == [2]


async def test_a_waiter_finds_what_another_process_wrote(database: Database, database_url: str) -> None:
    lease = await new_lease(database)
    another = Database(database_url)
    log = ProgressLog(database, poll_seconds=0.01)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(log.wait_for_events(lease.optimization_id, 1, timeout=60))
        await ProgressLog(another).record(lease, ProgressBatch(events=(event("k"),)))
    assert _seqs(waiting.result()) == [2]
    await another.close()


async def test_a_waiter_gives_up_in_time(database: Database) -> None:
    optimization_id = await new_optimization(database)
    assert await ProgressLog(database).wait_for_events(optimization_id, 0, timeout=0.02) == ()


async def test_concurrent_recorders_number_without_gaps(database: Database) -> None:
    lease = await new_lease(database)
    log = ProgressLog(database)
    async with asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(log.record(lease, ProgressBatch(events=(event(f"a{n}"), event(f"b{n}")))))
    assert _seqs(await log.events_after(lease.optimization_id, 0)) == list(range(1, 42))


@settings(max_examples=25)
@given(batches=st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=6))
async def test_events_are_numbered_without_gaps_in_order_of_their_first_arrival(
    database: Database, batches: list[list[int]]
) -> None:
    lease = await new_lease(database)
    log = ProgressLog(database)
    added = 0
    for number, keys in enumerate(batches):
        drafts = tuple(event(f"k{key}", batch=number) for key in keys)
        added += await log.record(lease, ProgressBatch(events=drafts))
    recorded = (await log.events_after(lease.optimization_id, 0))[1:]
    first_seen = dict.fromkeys(f"k{key}" for keys in batches for key in keys)
    assert [item.key for item in recorded] == list(first_seen)
    assert _seqs(recorded) == list(range(2, 2 + len(first_seen)))
    assert added == len(first_seen)
    assert [item.body["batch"] for item in recorded] == [
        next(n for n, keys in enumerate(batches) if int(key[1:]) in keys) for key in first_seen
    ]
