"""Decisions in the call ledger: on record before any later call, and gone with the lease."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import Connection, text

from store.calls import CallLedger
from store.connections import Database
from store.errors import LostLeaseError, StoreUnavailableError
from store.records.calls import CallSpend
from store.records.optimizations import Lease
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


async def test_a_call_is_not_made_after_what_it_follows_from_was_lost(
    database: Database, ledger: CallLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch before the intent's own is lost, and the database is back at once."""
    scope = await ledger.open(await new_lease(database))
    write, writing, lost = database.write, asyncio.Event(), asyncio.Event()

    async def fail_once(work: Callable[[Connection], frozenset[Lease]]) -> frozenset[Lease]:
        monkeypatch.setattr(database, "write", write)
        writing.set()
        await lost.wait()
        raise StoreUnavailableError("gone")

    monkeypatch.setattr(database, "write", fail_once)
    scope.decide("rounds", 1)
    ledger.hurry()
    await writing.wait()
    intending = asyncio.create_task(scope.intend("k", role="judge", model="backend/model"))
    await asyncio.sleep(0)
    lost.set()
    with pytest.raises(StoreUnavailableError):
        await intending


async def test_an_answer_is_committed_with_the_next_intent_or_when_it_is_waited_for(
    database: Database, ledger: CallLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.group_commits._WINDOW_SECONDS", 3600.0)
    write, transactions = database.write, []

    async def counted(work: Callable[[Connection], frozenset[Lease]]) -> frozenset[Lease]:
        transactions.append(await _answered(database))
        return await write(work)

    scope = await ledger.open(await new_lease(database))
    monkeypatch.setattr(database, "write", counted)
    for key in ("a", "b"):
        await scope.intend(key, role="judge", model="backend/model")
        scope.complete(key, "yes", ONE)
    assert transactions == [0, 0]
    assert await _answered(database) == 1
    await scope.flush()
    assert transactions == [0, 0, 1]
    assert await _answered(database) == 2
