"""The ports of models and rewards, on both databases."""

from app.jobs.records import StoredCalls, StoredCapabilities
from optimizer.types import JsonObject, Spend
from store.calls import CallLedger
from store.connections import Database
from store.records.calls import CallSpend
from store.repositories.capabilities import CapabilityRepository
from store.repositories.spends import SpendRepository
from tests.store.steps import new_lease, take_over

RESPONSE: JsonObject = {"completions": [{"text": "an \u00e4nswer"}], "usage": None}
ESTIMATE = Spend(calls=1, prompt_tokens=300, completion_tokens=40, cost=5.0)


async def test_a_call_is_found_once_it_is_complete(database: Database) -> None:
    lease = await new_lease(database)
    async with CallLedger(database) as ledger:
        calls = StoredCalls(await ledger.open(lease))
        assert await calls.find("k1") is None
        await calls.intend("k1", "judge", "backend/model", ESTIMATE)
        assert await calls.find("k1") is None
        calls.complete("k1", RESPONSE, 2, 30, 4, 0.5)

        found = await calls.find("k1")

    assert found is not None
    assert found.response == RESPONSE
    assert (found.calls, found.prompt_tokens, found.completion_tokens, found.cost) == (2, 30, 4, 0.5)


async def test_a_failed_call_is_not_found_and_what_it_cost_is_added_to_the_next_attempt(
    database: Database,
) -> None:
    lease = await new_lease(database)
    async with CallLedger(database) as ledger:
        calls = StoredCalls(await ledger.open(lease))
        await calls.intend("k1", "judge", "backend/model", ESTIMATE)
        await calls.fail("k1", 3, 0, 0, 0.0)
        assert await calls.find("k1") is None
        await calls.intend("k1", "judge", "backend/model", ESTIMATE)
        calls.complete("k1", RESPONSE, 1, 30, 4, 0.5)
        found = await calls.find("k1")

    assert found is not None
    assert found.calls == 4
    spend = (await SpendRepository(database).by_role(lease.optimization_id))["judge"]
    assert (spend.calls, spend.prompt_tokens, spend.cost) == (4, 30, 0.5)


async def test_a_call_whose_end_nobody_saw_costs_its_estimate(database: Database) -> None:
    lease = await new_lease(database)
    async with CallLedger(database) as ledger:
        await StoredCalls(await ledger.open(lease)).intend("k1", "judge", "backend/model", ESTIMATE)
        scope = await ledger.open(await take_over(database, lease))

    expected = CallSpend(calls=1, prompt_tokens=300, completion_tokens=40, cost=5.0, unknown_calls=1)
    assert scope.totals() == {"judge": expected}
    assert await SpendRepository(database).by_role(lease.optimization_id) == {"judge": expected}


async def test_the_last_capabilities_of_a_model_stay(database: Database) -> None:
    capabilities = StoredCapabilities(CapabilityRepository(database))
    assert await capabilities.get("b", "m") is None
    await capabilities.put("b", "m", {"n": True})
    await capabilities.put("b", "m", {"n": False})
    assert await capabilities.get("b", "m") == {"n": False}
    assert await capabilities.get("b", "other") is None
