"""Optimizations, and who may work on them."""

import asyncio

import pytest
from sqlalchemy import text

from store.connections import Database
from store.errors import ConflictError, LostLeaseError, NotFoundError
from store.progress import ProgressLog
from store.records.optimizations import (
    BeatResult,
    JobKind,
    JobTerms,
    Lease,
    OptimizationError,
    OptimizationStatus,
)
from store.repositories.optimization_rows import CANCEL_REQUESTED_EVENT, FINISHED_EVENT, STARTED_EVENT
from store.repositories.optimizations import OptimizationRepository
from tests.store.steps import (
    ANY_SOFTWARE,
    TTL,
    expire,
    fail_at_the_end,
    new_lease,
    new_optimization,
    take_over,
)


async def _event_types(db: Database, optimization_id: str) -> list[str]:
    return [item.type for item in await ProgressLog(db).events_after(optimization_id, 0)]


async def test_a_new_optimization_waits_in_the_queue(database: Database) -> None:
    repository = OptimizationRepository(database)
    made = await repository.create(spec={"preset": "mini", "queries": [1, None]}, target="small")
    assert made.id.startswith("opt_")
    assert made.status is OptimizationStatus.QUEUED
    assert not made.status.is_final
    assert (made.fence, made.last_seq, made.elapsed_seconds) == (0, 0, 0.0)
    assert (made.owner, made.started_at, made.finished_at, made.error, made.result) == (None,) * 5
    assert made.created_at > 1_700_000_000
    assert await repository.get(made.id) == made
    assert made.spec == {"preset": "mini", "queries": [1, None]}


async def test_an_idempotency_key_names_one_job_of_its_kind(database: Database) -> None:
    repository = OptimizationRepository(database)
    terms = JobTerms(idempotency_key="mine", request_hash="sha")
    made = await repository.create(spec={}, target="small", terms=terms)
    assert await repository.by_idempotency_key("mine", kind=JobKind.PROMPT) == made
    assert await repository.by_idempotency_key("mine", kind=JobKind.EXAMPLE_BANK) is None
    with pytest.raises(ConflictError):
        await repository.create(spec={}, target="small", terms=terms)


async def test_what_does_not_exist_is_not_found(database: Database) -> None:
    repository = OptimizationRepository(database)
    with pytest.raises(NotFoundError, match="opt_none"):
        await repository.get("opt_none")
    with pytest.raises(NotFoundError):
        await repository.list(after="opt_none")
    with pytest.raises(NotFoundError):
        await repository.request_cancel("opt_none")


async def test_the_list_has_the_newest_first_and_goes_on_after_a_cursor(database: Database) -> None:
    repository = OptimizationRepository(database)
    made = [await new_optimization(database) for _ in range(5)]
    async with database.session() as session:  # two of the same instant, too
        for number, optimization_id in enumerate(made):
            await session.execute(
                text("UPDATE optimizations SET created_at = :at WHERE id = :id"),
                {"at": 1000.0 + number // 2, "id": optimization_id},
            )
    listed: list[str] = []
    while page := await repository.list(after=listed[-1] if listed else None, limit=2):
        assert len(page) <= 2
        listed += [item.id for item in page]
    assert sorted(listed) == sorted(made)
    ages = {optimization_id: number // 2 for number, optimization_id in enumerate(made)}
    assert [ages[item] for item in listed] == [2, 1, 1, 0, 0]


async def test_the_list_can_show_one_status_only(database: Database) -> None:
    lease, waiting = await new_lease(database), await new_optimization(database)
    repository = OptimizationRepository(database)
    running = await repository.list(status=OptimizationStatus.RUNNING)
    queued = await repository.list(status=OptimizationStatus.QUEUED)
    assert [item.id for item in running] == [lease.optimization_id]
    assert [item.id for item in queued] == [waiting]


async def test_a_claim_makes_it_ours(database: Database) -> None:
    repository = OptimizationRepository(database)
    optimization_id = await new_optimization(database)
    claim = await repository.claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE)
    assert claim is not None
    assert claim.lease == Lease(optimization_id=optimization_id, owner="ann", fence=1)
    assert claim.optimization.status is OptimizationStatus.RUNNING
    assert claim.optimization.started_at is not None
    assert claim.optimization.last_seq == 1
    assert await repository.get(optimization_id) == claim.optimization
    (started,) = await ProgressLog(database).events_after(optimization_id, 0)
    assert (started.type, started.body) == (STARTED_EVENT, {"attempt": 1})


async def test_what_a_live_owner_has_is_not_claimed(database: Database) -> None:
    await new_lease(database)
    repository = OptimizationRepository(database)
    assert await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is None


async def test_a_stale_lease_is_claimed_again_under_a_higher_fence(database: Database) -> None:
    first = await new_lease(database)
    repository = OptimizationRepository(database)
    before = await repository.get(first.optimization_id)
    await expire(database, first.optimization_id)
    claim = await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE)
    assert claim is not None
    assert claim.lease == Lease(optimization_id=first.optimization_id, owner="bob", fence=2)
    assert claim.optimization.started_at == before.started_at
    assert (await repository.beat(first, ttl=TTL)).result is BeatResult.LOST
    assert (await repository.beat(claim.lease, ttl=TTL)).result is BeatResult.HELD


async def test_the_oldest_is_claimed_first(database: Database) -> None:
    made = [await new_optimization(database) for _ in range(3)]
    async with database.session() as session:
        for age, optimization_id in zip([2.0, 1.0, 3.0], made, strict=True):
            await session.execute(
                text("UPDATE optimizations SET created_at = :age WHERE id = :id"),
                {"age": age, "id": optimization_id},
            )
    repository = OptimizationRepository(database)
    claimed = [await repository.claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE) for _ in range(4)]
    assert [claim and claim.lease.optimization_id for claim in claimed] == [made[1], made[0], made[2], None]


async def test_owners_who_claim_at_once_never_get_the_same(database: Database, database_url: str) -> None:
    made = {await new_optimization(database) for _ in range(6)}
    databases = [database, Database(database_url)]

    async def claim_all(db: Database, owner: str) -> list[str]:
        claimed = []
        while claim := await OptimizationRepository(db).claim_next(
            owner=owner, ttl=TTL, software=ANY_SOFTWARE
        ):
            claimed.append(claim.lease.optimization_id)
        return claimed

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(claim_all(databases[number % 2], f"owner {number}")) for number in range(4)
        ]
    claimed = [optimization_id for task in tasks for optimization_id in task.result()]
    assert sorted(claimed) == sorted(made)
    await databases[1].close()


async def test_owners_who_claim_the_same_at_once_get_it_once(database: Database) -> None:
    await new_optimization(database)
    repository = OptimizationRepository(database)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(repository.claim_next(owner=f"owner {number}", ttl=TTL, software=ANY_SOFTWARE))
            for number in range(8)
        ]
    assert len([task for task in tasks if task.result() is not None]) == 1


async def test_a_beat_keeps_the_lease_and_adds_the_time_worked(database: Database) -> None:
    lease = await new_lease(database)
    repository = OptimizationRepository(database)
    await expire(database, lease.optimization_id)
    assert (await repository.beat(lease, ttl=TTL, elapsed=1.5)).result is BeatResult.HELD
    assert (await repository.beat(lease, ttl=TTL, elapsed=2.0)).result is BeatResult.HELD
    assert await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is None
    assert (await repository.get(lease.optimization_id)).elapsed_seconds == 3.5


async def test_a_beat_works_while_readers_and_writers_hold_every_other_connection(
    postgres_url: str,
) -> None:
    db = Database(postgres_url, pool_size=1, busy_seconds=0.05)
    lease = await new_lease(db)
    async with db.session() as one, db.session() as two:
        for session in (one, two):
            await session.execute(text("SELECT 1"))
        assert (await OptimizationRepository(db).beat(lease, ttl=TTL)).result is BeatResult.HELD
    await db.close()


async def test_another_owners_name_does_not_keep_a_lease(database: Database) -> None:
    lease = await new_lease(database)
    thief = Lease(optimization_id=lease.optimization_id, owner="bob", fence=lease.fence)
    assert (await OptimizationRepository(database).beat(thief, ttl=TTL)).result is BeatResult.LOST


async def test_a_released_optimization_is_claimed_without_waiting(database: Database) -> None:
    lease = await new_lease(database)
    repository = OptimizationRepository(database)
    assert await repository.release(lease, elapsed=0.5)
    claim = await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE)
    assert claim is not None
    assert claim.optimization.elapsed_seconds == 0.5
    assert not await repository.release(lease)


async def test_finishing_ends_it_and_says_so(database: Database) -> None:
    lease = await new_lease(database)
    repository = OptimizationRepository(database)
    with database.wakeups.listen(lease.optimization_id) as woken:
        ended = await repository.finish(
            lease, OptimizationStatus.SUCCEEDED, result={"best": "c1"}, elapsed=2.0
        )
        assert woken.is_set()
    assert ended.status is OptimizationStatus.SUCCEEDED
    assert ended.status.is_final
    assert (ended.result, ended.error, ended.elapsed_seconds) == ({"best": "c1"}, None, 2.0)
    assert ended.finished_at is not None
    assert await repository.get(lease.optimization_id) == ended
    (_, finished) = await ProgressLog(database).events_after(lease.optimization_id, 0)
    assert (finished.type, finished.body) == (FINISHED_EVENT, {"status": "succeeded", "error": None})
    assert ended.last_seq == finished.seq
    with pytest.raises(LostLeaseError):
        await repository.finish(lease, OptimizationStatus.FAILED)
    assert (await repository.beat(lease, ttl=TTL)).result is BeatResult.LOST
    assert await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is None


async def test_a_failure_says_why(database: Database) -> None:
    lease = await new_lease(database)
    error = OptimizationError(code="judge_unreachable", message="the judge cannot be reached")
    repository = OptimizationRepository(database)
    await repository.finish(lease, OptimizationStatus.FAILED, error=error)
    assert (await repository.get(lease.optimization_id)).error == error


async def test_a_zombie_cannot_finish(database: Database) -> None:
    zombie = await new_lease(database)
    repository = OptimizationRepository(database)
    successor = await take_over(database, zombie)
    with pytest.raises(LostLeaseError):
        await repository.finish(zombie, OptimizationStatus.SUCCEEDED, result={"by": "a zombie"})
    assert not await repository.release(zombie)
    assert (await repository.get(zombie.optimization_id)).status is OptimizationStatus.RUNNING
    ended = await repository.finish(successor, OptimizationStatus.SUCCEEDED, result={"by": "bob"})
    assert ended.result == {"by": "bob"}


async def test_only_a_final_status_ends_an_optimization(database: Database) -> None:
    lease = await new_lease(database)
    with pytest.raises(ValueError, match="queued"):
        await OptimizationRepository(database).finish(lease, OptimizationStatus.QUEUED)


async def test_finishing_in_a_transaction_that_fails_does_not_finish(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await new_lease(database)
    repository = OptimizationRepository(database)
    with monkeypatch.context() as failing:
        fail_at_the_end(failing)
        with pytest.raises(ZeroDivisionError):
            await repository.finish(lease, OptimizationStatus.SUCCEEDED)
    assert (await repository.beat(lease, ttl=TTL)).result is BeatResult.HELD
    assert await _event_types(database, lease.optimization_id) == [STARTED_EVENT]


@pytest.mark.parametrize("status", ["queued", "paused"])
async def test_what_waits_is_cancelled_at_once(database: Database, status: str) -> None:
    optimization_id = await new_optimization(database)
    async with database.session() as session:
        await session.execute(text("UPDATE optimizations SET status = :status"), {"status": status})
    repository = OptimizationRepository(database)
    cancelled = await repository.request_cancel(optimization_id)
    assert cancelled.status is OptimizationStatus.CANCELLED
    assert cancelled.finished_at is not None
    assert await repository.request_cancel(optimization_id) == cancelled
    assert await _event_types(database, optimization_id) == [FINISHED_EVENT]
    assert await repository.claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE) is None


async def test_a_running_one_learns_of_its_cancellation_at_the_next_beat(database: Database) -> None:
    lease = await new_lease(database)
    repository = OptimizationRepository(database)
    asked = await repository.request_cancel(lease.optimization_id)
    assert (asked.status, asked.cancel_requested) == (OptimizationStatus.RUNNING, True)
    assert asked.finished_at is None
    assert await repository.request_cancel(lease.optimization_id) == asked
    assert (await repository.beat(lease, ttl=TTL)).result is BeatResult.CANCEL_REQUESTED
    ended = await repository.finish(lease, OptimizationStatus.CANCELLED)
    assert ended.status is OptimizationStatus.CANCELLED
    assert await repository.request_cancel(lease.optimization_id) == ended
    assert await _event_types(database, lease.optimization_id) == [
        STARTED_EVENT,
        CANCEL_REQUESTED_EVENT,
        FINISHED_EVENT,
    ]


async def test_a_cancelled_one_whose_owner_died_is_ended_by_whoever_claims_next(
    database: Database,
) -> None:
    lease = await new_lease(database)
    repository = OptimizationRepository(database)
    await repository.request_cancel(lease.optimization_id)
    assert await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is None
    assert (await repository.get(lease.optimization_id)).status is OptimizationStatus.RUNNING
    await expire(database, lease.optimization_id)
    assert await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) is None
    ended = await repository.get(lease.optimization_id)
    assert ended.status is OptimizationStatus.CANCELLED
    assert (await _event_types(database, lease.optimization_id))[-1] == FINISHED_EVENT
    with pytest.raises(LostLeaseError):
        await repository.finish(lease, OptimizationStatus.SUCCEEDED)


async def test_at_the_restart_of_the_only_process_everything_running_is_free(database: Database) -> None:
    leases = [await new_lease(database) for _ in range(2)]
    done = await new_lease(database)
    repository = OptimizationRepository(database)
    await repository.finish(done, OptimizationStatus.SUCCEEDED)
    assert await repository.expire_leases() == 2
    claimed = [await repository.claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE) for _ in range(3)]
    ids = {claim.lease.optimization_id for claim in claimed if claim is not None}
    assert ids == {lease.optimization_id for lease in leases}
