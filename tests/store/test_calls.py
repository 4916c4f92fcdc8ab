"""The call ledger: no finished call is made again, and nothing spent is forgotten."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from store.calls import CallLedger, LedgerScope
from store.connections import Database
from store.errors import ConflictError, LostLeaseError, StoreError, StoreUnavailableError
from store.json_values import JsonValue
from store.records.calls import CallSpend, RecordedCall
from store.records.optimizations import Lease
from store.repositories.spends import SpendRepository
from tests.store.steps import new_lease, take_over

ONE = CallSpend(calls=1, prompt_tokens=10, completion_tokens=5, cost=0.25)


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[CallLedger]:
    async with CallLedger(database) as opened:
        yield opened


async def _call(
    scope: LedgerScope, key: str, response: JsonValue = "yes", spend: CallSpend = ONE, role: str = "judge"
) -> None:
    await scope.intend(key, role=role, model="backend/model")
    scope.complete(key, response, spend)
    await scope.flush()


async def _statuses(db: Database) -> dict[str, tuple[str, int]]:
    async with db.read() as session:
        rows = await session.execute(text("SELECT key, status, fence FROM model_calls ORDER BY key"))
        return {key: (status, fence) for key, status, fence in rows}


async def test_a_finished_call_is_found_by_this_run_and_by_the_next(
    database: Database, ledger: CallLedger
) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    assert scope.find("k") is None
    odd: JsonValue = {"text": "a\x00\ud800 ü", "n": [1, 2.5, None, True]}
    await _call(scope, "k", odd)
    assert scope.find("k") == RecordedCall(response=odd, spend=ONE)

    later = await ledger.open(await take_over(database, lease))
    assert later.find("k") == RecordedCall(response=odd, spend=ONE)
    with pytest.raises(ConflictError):
        await later.intend("k", role="judge", model="backend/model")


async def test_optimizations_do_not_share_their_calls(database: Database, ledger: CallLedger) -> None:
    mine = await ledger.open(await new_lease(database))
    yours = await ledger.open(await new_lease(database))
    await _call(mine, "k", "mine")
    assert yours.find("k") is None
    await _call(yours, "k", "yours")
    first, second = mine.find("k"), yours.find("k")
    assert first is not None
    assert second is not None
    assert (first.response, second.response) == ("mine", "yours")


async def test_who_has_time_finds_the_answers_on_record_and_hurries_nobody(
    database: Database, ledger: CallLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = await ledger.open(await new_lease(database))
    await scope.settled()
    await scope.intend("k", role="judge", model="backend/model")
    monkeypatch.setattr(ledger, "hurry", lambda: pytest.fail("it hurried"))
    scope.complete("k", "yes", ONE)
    await scope.settled()
    assert await _statuses(database) == {"k": ("done", 1)}


async def test_the_intent_is_durable_before_the_call(database: Database, ledger: CallLedger) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    await scope.intend("k", role="judge", model="backend/model")
    assert await _statuses(database) == {"k": ("open", 1)}
    assert scope.find("k") is None
    assert scope.totals() == {}


async def test_a_call_whose_end_nobody_saw_is_counted_and_may_be_made_again(
    database: Database, ledger: CallLedger
) -> None:
    lease = await new_lease(database)
    await (await ledger.open(lease)).intend("k", role="judge", model="backend/model")

    second = await take_over(database, lease)
    scope = await ledger.open(second)
    assert await _statuses(database) == {"k": ("unknown", 1)}
    assert scope.find("k") is None
    assert scope.recorded_spend == {"judge": CallSpend(calls=1, unknown_calls=1)}

    await scope.intend("k", role="judge", model="backend/model")
    assert await _statuses(database) == {"k": ("open", 2)}
    third = await take_over(database, second)
    scope = await ledger.open(third)
    assert scope.recorded_spend == {"judge": CallSpend(calls=2, unknown_calls=2)}

    await _call(scope, "k")
    expected = CallSpend(calls=3, prompt_tokens=10, completion_tokens=5, cost=0.25, unknown_calls=2)
    assert scope.totals() == {"judge": expected}
    assert await _statuses(database) == {"k": ("done", 3)}
    reopened = await ledger.open(third)
    assert reopened.recorded_spend == {"judge": expected}


async def test_opening_again_under_the_same_fence_leaves_calls_in_flight_alone(
    database: Database, ledger: CallLedger
) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    await scope.intend("k", role="judge", model="backend/model")
    assert (await ledger.open(lease)).recorded_spend == {"judge": CallSpend()}
    scope.complete("k", "yes", ONE)
    await scope.flush()
    assert await _statuses(database) == {"k": ("done", 1)}


async def test_an_error_is_no_answer_but_its_calls_count(database: Database, ledger: CallLedger) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    await scope.intend("k", role="proposer", model="backend/model")
    await scope.fail("k", CallSpend(calls=3))
    assert scope.find("k") is None
    assert await _statuses(database) == {"k": ("failed", 1)}
    await _call(scope, "k", role="proposer")
    expected = CallSpend(calls=4, prompt_tokens=10, completion_tokens=5, cost=0.25)
    assert scope.totals() == {"proposer": expected}
    found = scope.find("k")
    assert found is not None
    assert found.spend == expected
    assert (await ledger.open(lease)).recorded_spend == {"proposer": expected}


async def test_spend_is_told_apart_by_role_and_by_run(database: Database, ledger: CallLedger) -> None:
    lease = await new_lease(database)
    first = await ledger.open(lease)
    await _call(first, "j1", role="judge")
    await _call(first, "j2", role="judge")
    await _call(first, "t1", role="target")
    two = CallSpend(calls=2, prompt_tokens=20, completion_tokens=10, cost=0.5)
    assert first.recorded_spend == {}
    assert first.totals() == {"judge": two, "target": ONE}
    second = await ledger.open(await take_over(database, lease))
    await _call(second, "t2", role="target")
    assert second.recorded_spend == {"judge": two, "target": ONE}
    assert second.totals() == {"judge": two, "target": two}


async def test_only_finished_calls_are_counted_as_finished(database: Database, ledger: CallLedger) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    await _call(scope, "done", role="target")
    await scope.intend("failed", role="target", model="backend/model")
    await scope.fail("failed", CallSpend(calls=2))
    await scope.intend("begun", role="judge", model="backend/model")
    for seen in (scope, await ledger.open(await take_over(database, lease))):
        assert seen.finished_spend() == {"target": ONE}


async def test_the_sums_over_the_ledger_are_those_of_the_run(database: Database, ledger: CallLedger) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    spends = SpendRepository(database)
    assert await spends.by_role(lease.optimization_id) == {}
    await _call(scope, "t", role="target")
    await _call(scope, "j1", role="judge")
    await _call(scope, "j2", role="judge")
    await scope.intend("begun", role="judge", model="backend/model")
    await _call(await ledger.open(await new_lease(database)), "of another")
    scope = await ledger.open(await take_over(database, lease))
    assert await spends.by_role(lease.optimization_id) == scope.totals()
    assert scope.totals()["judge"].calls == 3


async def test_the_first_of_two_answers_stays_and_both_are_paid(
    database: Database, ledger: CallLedger
) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    await scope.intend("k", role="judge", model="backend/model")
    await scope.intend("k", role="judge", model="backend/model")
    scope.complete("k", "first", ONE)
    scope.complete("k", "second", ONE)
    await scope.fail("k", CallSpend(calls=1))
    for seen in (scope, await ledger.open(lease)):
        found = seen.find("k")
        assert found is not None
        assert found.response == "first"
        assert found.spend.calls == 3
    assert await _statuses(database) == {"k": ("done", 1)}


async def test_a_result_without_an_intent_is_refused(database: Database, ledger: CallLedger) -> None:
    scope = await ledger.open(await new_lease(database))
    with pytest.raises(ConflictError):
        scope.complete("k", "yes", ONE)
    with pytest.raises(ConflictError):
        await scope.fail("k", ONE)
    assert await _statuses(database) == {}


async def test_a_response_that_is_not_json_is_refused_and_harms_nobody(
    database: Database, ledger: CallLedger
) -> None:
    scope = await ledger.open(await new_lease(database))
    await scope.intend("k", role="judge", model="backend/model")
    with pytest.raises(ValueError, match="JSON"):
        scope.complete("k", float("nan"), ONE)
    scope.complete("k", "yes", ONE)
    await scope.flush()


async def test_a_zombie_writes_nothing_and_makes_no_call(database: Database, ledger: CallLedger) -> None:
    zombie = await new_lease(database)
    scope = await ledger.open(zombie)
    await scope.intend("begun", role="judge", model="backend/model")
    await take_over(database, zombie)
    before = await _statuses(database)

    with pytest.raises(LostLeaseError):
        await scope.intend("new", role="judge", model="backend/model")
    with pytest.raises(LostLeaseError):
        await scope.fail("begun", ONE)
    scope.complete("begun", "late", ONE)
    with pytest.raises(LostLeaseError):
        await scope.flush()
    with pytest.raises(LostLeaseError):
        await scope.intend("after", role="judge", model="backend/model")
    with pytest.raises(LostLeaseError):
        await ledger.open(zombie)

    assert await _statuses(database) == before == {"begun": ("open", 1)}


async def test_a_zombie_in_the_batch_does_not_harm_the_others(database: Database, ledger: CallLedger) -> None:
    zombie = await new_lease(database)
    lost, held = await ledger.open(zombie), await ledger.open(await new_lease(database))
    await take_over(database, zombie)
    async with asyncio.TaskGroup() as group:
        refused = group.create_task(_expect_lost(lost))
        group.create_task(_call(held, "k"))
    assert refused.result() == zombie
    assert held.find("k") is not None


async def _expect_lost(scope: LedgerScope) -> Lease:
    with pytest.raises(LostLeaseError):
        await scope.intend("k", role="judge", model="backend/model")
    return scope._lease


async def test_a_caller_that_is_cancelled_while_it_waits_has_its_result_recorded(
    database: Database, ledger: CallLedger
) -> None:
    lease = await new_lease(database)
    scope = await ledger.open(lease)
    await scope.intend("k", role="judge", model="backend/model")
    scope.complete("k", "yes", ONE)
    task = asyncio.create_task(scope.flush())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _call(scope, "next")
    assert scope.find("k") == RecordedCall(response="yes", spend=ONE)
    assert (await ledger.open(lease)).find("k") is not None


async def test_closing_writes_what_waits_and_then_takes_no_more(database: Database) -> None:
    lease = await new_lease(database)
    async with CallLedger(database) as ledger:
        scope = await ledger.open(lease)
        await scope.intend("k", role="judge", model="backend/model")
        scope.complete("k", "yes", ONE)
    assert await _statuses(database) == {"k": ("done", 1)}
    with pytest.raises(StoreError, match="closed"):
        await scope.intend("late", role="judge", model="backend/model")


async def test_a_database_that_is_gone_is_told_to_all_who_wait(sqlite_url: str) -> None:
    db, another = Database(sqlite_url, busy_seconds=0.01), Database(sqlite_url)
    lease = await new_lease(db)
    async with CallLedger(db) as ledger:
        scope = await ledger.open(lease)
        async with another.session() as session:
            await session.execute(text("UPDATE optimizations SET target = 'locked'"))
            waiting = [asyncio.create_task(scope.intend(f"k{n}", role="judge", model="m")) for n in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await asyncio.wait(waiting)
        assert waiting[0].cancelled()
        assert [type(task.exception()) for task in waiting[1:]] == [StoreUnavailableError] * 2
        await _call(scope, "k")  # the ledger goes on
    await db.close()
    await another.close()


async def test_a_finished_call_that_cannot_be_read_is_made_again_and_its_answer_replaced(
    database: Database, ledger: CallLedger
) -> None:
    lease = await new_lease(database)
    await _call(await ledger.open(lease), "k", "of another version")
    lease = await take_over(database, lease)
    scope = await ledger.open(lease)

    await scope.intend("k", role="judge", model="backend/model", again=True)
    assert await _statuses(database) == {"k": ("open", 2)}
    assert scope.find("k") is None
    assert (await ledger.open(lease)).find("k") is None
    scope.complete("k", "new", ONE)
    await scope.flush()

    assert await _statuses(database) == {"k": ("done", 2)}
    for seen in (scope, await ledger.open(lease)):
        assert seen.find("k") == RecordedCall(response="new", spend=ONE + ONE)


async def test_a_call_that_is_not_finished_may_be_made_again_as_well(
    database: Database, ledger: CallLedger
) -> None:
    scope = await ledger.open(await new_lease(database))
    await scope.intend("k", role="judge", model="backend/model", again=True)
    scope.complete("k", "yes", ONE)
    assert scope.find("k") == RecordedCall(response="yes", spend=ONE)
