"""The call ledger commits in groups: what comes together is written together."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import Connection

from store.calls import CallLedger, LedgerScope
from store.connections import Database
from store.records.calls import CallSpend
from tests.store.steps import new_lease


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[CallLedger]:
    async with CallLedger(database) as opened:
        yield opened


async def _call(scope: LedgerScope, key: str, response: int) -> None:
    await scope.intend(key, role="judge", model="backend/model")
    scope.complete(key, response, CallSpend(calls=1))
    await scope.flush()


class Transactions:
    """How many writes there were."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = Database.write

        def counting(db: Database, work: Callable[[Connection], object]) -> object:
            self.count += 1
            return original(db, work)

        monkeypatch.setattr(Database, "write", counting)


async def test_who_waits_for_the_answers_so_far_waits_for_no_later_ones(
    database: Database, ledger: CallLedger
) -> None:
    scope = await ledger.open(await new_lease(database))
    settled = [asyncio.create_task(scope.settled())]
    for n in range(3):
        scope.decide("rounds", n)
        settled.append(asyncio.create_task(scope.settled()))
        await asyncio.sleep(0)
    settled[1].cancel()
    done, _ = await asyncio.wait(settled)
    assert [task.cancelled() for task in settled] == [False, True, False, False]
    assert len(done) == 4


async def test_many_calls_at_once_are_committed_in_few_transactions(
    database: Database, ledger: CallLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    transactions = Transactions(monkeypatch)
    async with asyncio.TaskGroup() as group:
        for n in range(700):
            group.create_task(_call(scope, f"k{n}", n))
    monkeypatch.undo()
    assert transactions.count <= 20
    reopened = await ledger.open(lease)
    for n in range(700):
        found = reopened.find(f"k{n}")
        assert found is not None
        assert found.response == n
    assert reopened.recorded_spend["judge"].calls == 700
