"""The call ledger is bounded: what ended first goes first, what it has cost stays."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from store.calls import CallLedger
from store.connections import Database
from store.records.calls import CallSpend
from store.records.optimizations import Lease, OptimizationStatus
from store.repositories.call_retention import CallRetention
from store.repositories.optimizations import OptimizationRepository
from store.repositories.recorded_calls import RecordedCallsRepository
from store.repositories.spends import ROW_BYTES, SpendRepository
from tests.store.steps import new_lease

ONE = CallSpend(calls=1, prompt_tokens=10, completion_tokens=5, cost=0.25)
DAY = 86_400.0


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[CallLedger]:
    async with CallLedger(database) as opened:
        yield opened


async def job_with_calls(
    database: Database, ledger: CallLedger, calls: int, *, ended_days_ago: float | None = None
) -> Lease:
    """An optimization with finished calls, which runs on or has ended."""
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    for number in range(calls):
        await scope.intend(str(number), role="judge", model="backend/model")
        scope.complete(str(number), "an answer", ONE)
    await scope.flush()
    if ended_days_ago is not None:
        await OptimizationRepository(database).finish(lease, OptimizationStatus.SUCCEEDED)
        async with database.session() as session:
            await session.execute(
                text("UPDATE optimizations SET finished_at = finished_at - :age WHERE id = :id"),
                {"age": ended_days_ago * DAY, "id": lease.optimization_id},
            )
    return lease


async def rows(database: Database) -> int:
    """Calls that are in the table."""
    async with database.read() as session:
        return int(await session.scalar(text("SELECT count(*) FROM model_calls")) or 0)


async def test_size_and_spend_are_summed_up_when_an_optimization_has_ended(
    database: Database, ledger: CallLedger
) -> None:
    retention, spends = CallRetention(database), SpendRepository(database)
    running = await job_with_calls(database, ledger, 2)
    ended = await job_with_calls(database, ledger, 3, ended_days_ago=1)
    before = await spends.of(ended.optimization_id)
    totals = await retention.totals()
    assert await retention.summarise() == 1
    assert await retention.summarise() == 0

    assert await spends.of(ended.optimization_id) == before
    assert before.calls == 3
    assert before.bytes > 3 * ROW_BYTES
    assert before.by_role == {"judge": CallSpend(calls=3, prompt_tokens=30, completion_tokens=15, cost=0.75)}
    after = await retention.totals()
    assert (after.calls, after.bytes) == (totals.calls, totals.bytes)
    assert after.calls == 5
    assert after.oldest_finished_at is not None
    assert (await spends.of(running.optimization_id)).calls == 2


async def test_an_empty_ledger_holds_nothing(database: Database) -> None:
    retention = CallRetention(database)
    totals = await retention.totals()
    assert (totals.calls, totals.bytes, totals.dropped_optimizations) == (0, 0, 0)
    assert totals.oldest_finished_at is None
    assert await retention.drop_due(keep_seconds=0, max_bytes=0, protected=()) == ()
    assert await retention.delete_dropped() == 0


async def test_what_ended_too_long_ago_is_dropped_and_its_spend_stays(
    database: Database, ledger: CallLedger
) -> None:
    retention, spends = CallRetention(database), SpendRepository(database)
    old = await job_with_calls(database, ledger, 3, ended_days_ago=40)
    young = await job_with_calls(database, ledger, 2, ended_days_ago=10)
    await retention.summarise()
    spent = (await spends.of(old.optimization_id)).by_role

    dropped = await retention.drop_due(keep_seconds=30 * DAY, max_bytes=None, protected=())
    assert dropped == (old.optimization_id,)
    share = await spends.of(old.optimization_id)
    assert (share.by_role, share.calls, share.bytes) == (spent, 0, 0)
    assert share.dropped_at is not None
    assert await retention.delete_dropped() == 3
    assert await retention.delete_dropped() == 0
    assert await rows(database) == 2
    assert len(await RecordedCallsRepository(database).load(young.optimization_id)) == 2
    assert len(await RecordedCallsRepository(database).load(old.optimization_id)) == 0
    assert (await retention.totals()).dropped_optimizations == 1
    assert await retention.drop_due(keep_seconds=30 * DAY, max_bytes=None, protected=()) == ()


async def test_while_there_is_too_much_the_oldest_goes_first(database: Database, ledger: CallLedger) -> None:
    retention, spends = CallRetention(database), SpendRepository(database)
    oldest, middle, newest = [
        await job_with_calls(database, ledger, 2, ended_days_ago=days) for days in (3, 2, 1)
    ]
    await job_with_calls(database, ledger, 1)
    await retention.summarise()
    each = (await spends.of(newest.optimization_id)).bytes
    total = (await retention.totals()).bytes
    dropped = await retention.drop_due(keep_seconds=None, max_bytes=total - each - 1, protected=())
    assert dropped == (oldest.optimization_id, middle.optimization_id)
    assert (await retention.totals()).bytes == total - 2 * each


async def test_what_runs_and_what_is_replayed_is_never_dropped(
    database: Database, ledger: CallLedger
) -> None:
    retention = CallRetention(database)
    await job_with_calls(database, ledger, 2)
    replayed = await job_with_calls(database, ledger, 2, ended_days_ago=400)
    while await retention.summarise(limit=1):
        pass
    protected = {replayed.optimization_id}
    assert await retention.drop_due(keep_seconds=0, max_bytes=0, protected=protected) == ()
    assert await retention.delete_dropped() == 0
    assert await rows(database) == 4
