"""The call ledger commits in groups: what comes together is written together."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import Connection, select

from store.calls import CallLedger, LedgerScope
from store.connections import Database
from store.errors import StoreError
from store.models.model_call import ModelCall
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


async def test_what_happens_to_a_call_within_one_commit_keeps_its_order(database: Database) -> None:
    lease = await new_lease(database)
    async with CallLedger(database) as ledger:
        scope = await ledger.open(lease)
        for key in ("unreadable", "given up"):
            await scope.intend(key, role="judge", model="backend/model")
        scope.complete("unreadable", "bad", CallSpend(calls=1))
        giving_up = asyncio.create_task(scope.fail("given up", CallSpend(calls=1)))
        await asyncio.sleep(0)
        giving_up.cancel()
        again = [
            scope.intend("unreadable", role="judge", model="backend/model", again=True),
            scope.intend("given up", role="judge", model="backend/model"),
        ]
        await asyncio.gather(*again)
        scope.complete("unreadable", "good", CallSpend(calls=1))
        await scope.flush()
    async with CallLedger(database) as ledger:
        reopened = await ledger.open(lease)
        found = reopened.find("unreadable")
        assert found is not None
        assert found.response == "good"
        assert reopened.finished_spend()["judge"].calls == 2
    rows = await database.fetch(
        lambda connection: connection.execute(select(ModelCall.key, ModelCall.status)).all()
    )
    assert dict(rows) == {"unreadable": "done", "given up": "open"}


async def test_who_waits_for_a_writer_that_is_stopped_hears_of_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await new_lease(database)
    writes = asyncio.Event()

    async def never(_: Database, __: Callable[[Connection], object]) -> None:
        writes.set()
        await asyncio.Event().wait()

    async def until_cancelled() -> None:
        async with CallLedger(database) as ledger:
            scope = await ledger.open(lease)
            monkeypatch.setattr(Database, "write", never)
            waiting.append(asyncio.create_task(scope.intend("k", role="judge", model="backend/model")))
            await writes.wait()

    waiting: list[asyncio.Task[None]] = []
    closing = asyncio.create_task(until_cancelled())
    await writes.wait()
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    with pytest.raises(StoreError, match="stopped"):
        await waiting[0]
