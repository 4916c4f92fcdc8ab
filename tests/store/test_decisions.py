"""Decisions in the call ledger: on record before any later call, and gone with the lease."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from store.calls import CallLedger
from store.connections import Database
from store.errors import LostLeaseError
from store.records.calls import CallSpend
from tests.store.steps import new_lease, take_over

ONE = CallSpend(calls=1, prompt_tokens=10, completion_tokens=5, cost=0.25)


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[CallLedger]:
    async with CallLedger(database) as opened:
        yield opened


async def _decisions(db: Database) -> dict[str, int]:
    """What is durable."""
    async with db.read() as session:
        rows = await session.execute(text("SELECT name, value FROM optimization_decisions"))
        return {row.name: row.value for row in rows}


async def _answered(db: Database) -> int:
    async with db.read() as session:
        count = await session.scalar(text("SELECT count(*) FROM model_calls WHERE status = 'done'"))
        return int(count or 0)


async def test_the_last_decision_of_a_name_is_what_the_next_run_finds(
    database: Database, ledger: CallLedger
) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    assert scope.decisions == {}
    for rounds in (1, 2):
        scope.decide("rounds", rounds)
    scope.decide("held_out", 8)
    await scope.flush()
    assert scope.decisions == {}
    resumed = await ledger.open(await take_over(database, lease))
    assert resumed.decisions == {"rounds": 2, "held_out": 8}
    assert (await ledger.open(await new_lease(database))).decisions == {}


async def test_a_decision_is_durable_before_a_later_call(database: Database, ledger: CallLedger) -> None:
    scope = await ledger.open(await new_lease(database))
    scope.decide("rounds", 1)
    await scope.intend("k", role="judge", model="backend/model")
    assert await _decisions(database) == {"rounds": 1}


async def test_who_has_lost_the_lease_decides_nothing_and_makes_no_call(
    database: Database, ledger: CallLedger
) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    await take_over(database, lease)
    scope.decide("rounds", 1)
    with pytest.raises(LostLeaseError):
        await scope.flush()
    with pytest.raises(LostLeaseError):
        await scope.intend("k", role="judge", model="backend/model")
    assert await _decisions(database) == {}


async def test_answers_and_decisions_become_durable_although_nothing_follows(
    database: Database, ledger: CallLedger
) -> None:
    scope = await ledger.open(await new_lease(database))
    await scope.intend("k", role="judge", model="backend/model")
    scope.complete("k", "yes", ONE)
    scope.decide("rounds", 1)
    async with asyncio.timeout(30):
        while await _answered(database) == 0:
            pass
    assert await _decisions(database) == {"rounds": 1}
