"""Once an optimization has ended, or a lease was taken anew, nothing is written under the old lease."""

from collections.abc import AsyncIterator

import pytest

from store.calls import CallLedger
from store.connections import Database
from store.errors import LostLeaseError
from store.progress import ProgressLog
from store.records.calls import CallSpend
from store.records.optimizations import BeatResult, OptimizationStatus
from store.records.progress import EventDraft, ProgressBatch
from store.repositories.optimization_rows import FINISHED_EVENT
from store.repositories.optimizations import OptimizationRepository
from tests.store.steps import TTL, new_lease, take_over

LATE = ProgressBatch(events=(EventDraft(key="late", type="late", body={}),))


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[CallLedger]:
    async with CallLedger(database) as opened:
        yield opened


@pytest.mark.parametrize("status", [status for status in OptimizationStatus if status.is_final])
async def test_after_the_end_no_call_is_made_and_nothing_recorded(
    database: Database, ledger: CallLedger, status: OptimizationStatus
) -> None:
    lease, log = await new_lease(database), ProgressLog(database)
    scope = await ledger.open(lease)
    await scope.intend("begun", role="judge", model="backend/model")
    await OptimizationRepository(database).finish(lease, status)

    with pytest.raises(LostLeaseError):
        await scope.intend("late", role="judge", model="backend/model")
    with pytest.raises(LostLeaseError):
        await scope.fail("begun", CallSpend(calls=1))
    with pytest.raises(LostLeaseError):
        await log.record(lease, LATE)
    with pytest.raises(LostLeaseError):
        await ledger.open(lease)

    events = await log.events_after(lease.optimization_id, 0)
    assert events[-1].type == FINISHED_EVENT


async def test_an_owner_who_claims_its_own_again_loses_the_lease_from_before(database: Database) -> None:
    """As a process does whose beats were late: both of its attempts have the same owner's name."""
    repository = OptimizationRepository(database)
    before = await new_lease(database, owner="ann")
    now = await take_over(database, before, owner="ann")

    assert (await repository.beat(before, ttl=TTL)).result is BeatResult.LOST
    assert not await repository.release(before)
    with pytest.raises(LostLeaseError):
        await repository.finish(before, OptimizationStatus.FAILED)
    assert (await repository.beat(now, ttl=TTL)).result is BeatResult.HELD
