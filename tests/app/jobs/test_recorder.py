"""From events to rows: in order, in the background, under the lease."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from typing_extensions import override

from app.jobs.recorder import RunRecorder
from optimizer.evaluation import HELD_OUT_ROUND
from optimizer.events import (
    CandidateKept,
    CandidateProposed,
    EvaluationFinished,
    GateStarted,
    RankedPath,
    RoundFinished,
    RoundStarted,
    SearchStarted,
)
from optimizer.types import (
    Candidate,
    Completion,
    CriterionScore,
    Evaluation,
    JsonObject,
    Query,
    Rollout,
    Score,
    Scored,
    Unscored,
    Usage,
)
from store.connections import Database
from store.errors import LostLeaseError
from store.progress import ProgressLog
from store.records.optimizations import Lease
from store.records.progress import ProgressBatch
from store.repositories.search_tree import SearchTreeRepository
from tests.store.steps import new_lease, take_over

SEED = Candidate(id="c0", system_prompt="Be kind.")
CHILD = Candidate(id="c1.0.0", system_prompt="Be exact.", parent_id="c0", round=1, rationale="shorter")
STARTED = SearchStarted(seed_prompt=SEED, max_rounds=2, queries=3)
PROPOSED = CandidateProposed(candidate=CHILD, template_version="t1")
SCORED = Scored(
    reward=4.5,
    criteria=(CriterionScore(criterion="Safety", score=4.5, rationale="fine"),),
    selection_rationale="it is a question",
)
PROVENANCE: JsonObject = {"models": {"judge": "b/m"}}


async def nothing_to_keep() -> None:
    """A ledger whose answers are all durable."""


def recorder(
    log: ProgressLog,
    lease: Lease,
    *,
    answers_kept: Callable[[], Awaitable[object]] = nothing_to_keep,
) -> RunRecorder:
    """A recorder of a run that has spent one call."""
    return RunRecorder(
        log,
        lease,
        PROVENANCE,
        spend=lambda: {"calls": 1},
        answers_kept=answers_kept,
    )


def evaluated(
    score: Score, *, query: str = "q1", round_number: int = 1, answered: bool = True
) -> EvaluationFinished:
    """An evaluation of the child."""
    rollout = Rollout(
        candidate_id="c1.0.0",
        query=Query(id=query, text="Why?", kind="odd"),
        completion=Completion(text="So.", finish_reason="stop") if answered else None,
        failure="" if answered else "the target refused",
        example_ids=("e1",),
        seed=7,
        usage=Usage(prompt_tokens=3, completion_tokens=2) if answered else None,
        seconds=0.5,
    )
    return EvaluationFinished(evaluation=Evaluation(round=round_number, rollout=rollout, score=score))


async def test_rows_say_all_that_events_say(database: Database) -> None:
    lease = await new_lease(database)
    ranking = (
        RankedPath(candidate_id="c1.0.0", reward=4.5, round_reward=4.5, kept=True),
        RankedPath(candidate_id="c0", reward=None, round_reward=None, kept=False),
    )
    async with recorder(ProgressLog(database), lease) as recording:
        for event in (
            STARTED,
            RoundStarted(round=1, query_ids=("q1",)),
            PROPOSED,
            evaluated(SCORED),
            evaluated(Unscored(reason="no answer"), query="q2", answered=False),
            evaluated(SCORED, round_number=HELD_OUT_ROUND),
            RoundFinished(round=1, ranking=ranking, rounds_left=3),
        ):
            await recording.notify(event)

    tree = SearchTreeRepository(database)
    seed, child = await tree.candidates(lease.optimization_id)
    assert (seed.id, seed.kept, seed.dropped_in_round, seed.template_version) == ("c0", False, 1, None)
    assert (child.parent_id, child.kept, child.template_version) == ("c0", True, "t1")
    assert child.rationale == "shorter"
    (finished,) = await tree.rounds(lease.optimization_id)
    assert (finished.best_candidate_id, finished.best_reward, finished.rounds_left) == ("c1.0.0", 4.5, 3)
    assert finished.spend == {"calls": 1}
    assert [place["kept"] for place in finished.ranking] == [True, False]
    held_out, scored, unscored = await tree.evaluations(lease.optimization_id)
    assert (held_out.phase, scored.phase) == ("held_out", "search")
    assert (scored.reward, scored.unscored_reason, scored.answer) == (4.5, None, "So.")
    assert scored.criteria == (
        {"criterion": "Safety", "score": 4.5, "rationale": "fine", "weight": 1.0, "source": "judge"},
    )
    assert (scored.models, scored.seed, scored.seconds, scored.query_kind) == (PROVENANCE, 7, 0.5, "odd")
    assert (scored.prompt_tokens, scored.completion_tokens) == (3, 2)
    assert (unscored.reward, unscored.unscored_reason, unscored.answer) == (None, "no answer", None)
    assert (unscored.failure, unscored.criteria, unscored.prompt_tokens) == ("the target refused", (), None)


async def test_events_come_in_their_order_and_once(database: Database) -> None:
    lease = await new_lease(database)
    log = ProgressLog(database)
    slots = [CandidateKept(round=1, slot=slot, candidate_id="c0", reason="good") for slot in range(450)]
    for _ in range(2):
        async with recorder(log, lease) as recording:
            for event in slots:
                await recording.notify(event)
    events = await log.events_after(lease.optimization_id, 0, limit=1000)
    recorded = [event.body["slot"] for event in events if event.type == "candidate_kept"]
    assert recorded == list(range(450))


async def test_a_served_version_is_recorded_as_a_candidate_and_a_known_one_is_not_again(
    database: Database,
) -> None:
    lease = await new_lease(database)
    incumbent = Candidate(id="incumbent", system_prompt="Be brief.")
    async with recorder(ProgressLog(database), lease) as recording:
        await recording.notify(STARTED)
        await recording.notify(
            GateStarted(incumbent=incumbent, finalists=(SEED,), seed_prompt=None, queries=1)
        )
        await recording.notify(GateStarted(incumbent=SEED, finalists=(SEED,), seed_prompt=None, queries=1))
    found = await SearchTreeRepository(database).candidates(lease.optimization_id)
    assert [item.id for item in found] == ["c0", "incumbent"]


async def test_who_lost_the_lease_hears_of_it_and_writes_nothing(database: Database) -> None:
    lease = await new_lease(database)
    await take_over(database, lease)
    with pytest.raises(LostLeaseError):
        async with recorder(ProgressLog(database), lease) as recording:
            await recording.notify(STARTED)
    assert await SearchTreeRepository(database).candidates(lease.optimization_id) == ()


async def test_a_block_that_fails_by_itself_keeps_its_own_error(database: Database) -> None:
    lease = await new_lease(database)
    await take_over(database, lease)

    async def run() -> None:
        async with recorder(ProgressLog(database), lease) as recording:
            await recording.notify(STARTED)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run()


class GatedLog(ProgressLog):
    """Writes when it is let."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.writing = asyncio.Event()
        self.open = asyncio.Event()
        self.written = 0

    @override
    async def record(self, lease: Lease, batch: ProgressBatch) -> int:
        self.writing.set()
        await self.open.wait()
        added = await super().record(lease, batch)
        self.written += 1
        return added


async def test_a_search_hears_of_the_lost_lease_with_its_next_event(database: Database) -> None:
    lease = await new_lease(database)
    await take_over(database, lease)

    async def run() -> None:
        async with recorder(ProgressLog(database), lease) as recording:
            await recording.notify(STARTED)
            assert recording._writer is not None
            await asyncio.wait([recording._writer])
            await recording.notify(PROPOSED)
            pytest.fail("the search goes on")

    with pytest.raises(LostLeaseError):
        await run()


async def test_a_recorder_that_is_cancelled_at_its_end_is_at_rest_when_it_is_left(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    lease = await new_lease(database)
    log = GatedLog(database)

    async def run() -> None:
        async with recorder(log, lease) as recording:
            await recording.notify(STARTED)

    running = asyncio.create_task(run())
    await log.writing.wait()
    running.cancel()
    await asyncio.sleep(0)
    assert not running.done()
    log.open.set()
    await asyncio.wait([running])
    assert running.cancelled()
    assert log.written == 1
    await database.close()


async def test_a_run_that_has_failed_does_not_wait_long_for_its_last_events(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.background_recorder._LAST_SECONDS", 0.01)
    lease = await new_lease(database)

    async def run() -> None:
        async with recorder(ProgressLog(database), lease, answers_kept=asyncio.Event().wait) as recording:
            await recording.notify(STARTED)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run()


async def test_nothing_is_on_record_before_the_answers_that_it_follows_from(database: Database) -> None:
    lease = await new_lease(database)
    log, asked, kept = ProgressLog(database), asyncio.Event(), asyncio.Event()

    async def answers_kept() -> None:
        asked.set()
        await kept.wait()

    async with recorder(log, lease, answers_kept=answers_kept) as recording:
        await recording.notify(STARTED)
        await recording.notify(PROPOSED)
        await asked.wait()
        before = await log.events_after(lease.optimization_id, 0)
        kept.set()
    after = await log.events_after(lease.optimization_id, 0)
    assert [event.type for event in after[len(before) :]] == ["search_started", "candidate_proposed"]
