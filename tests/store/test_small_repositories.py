"""Datasets, cached selections and backend capabilities."""

import asyncio

import pytest

from store.connections import Database
from store.errors import ConflictError, LostLeaseError, NotFoundError
from store.json_values import JsonObject
from store.records.datasets import QueryRecord
from store.repositories.capabilities import CapabilityRepository
from store.repositories.datasets import DatasetRepository
from store.repositories.selections import SelectionKey, SelectionRepository
from tests.store.steps import new_lease, take_over

QUERIES = (QueryRecord(id="b", text="why?", kind="knowledge"), QueryRecord(id="a", text="how?\x00"))
KEY = SelectionKey(query_sha256="5" * 64, selector_model="backend/model", template_version="abc")


async def test_a_dataset_keeps_its_queries_in_order(database: Database) -> None:
    datasets = DatasetRepository(database)
    made = await datasets.add("mine", QUERIES)
    assert (made.name, made.query_count) == ("mine", 2)
    assert await datasets.get(made.id) == made
    assert await datasets.queries(made.id) == (QUERIES[0], QueryRecord(id="a", text="how?\ufffd"))


async def test_the_same_dataset_is_added_once(database: Database) -> None:
    datasets = DatasetRepository(database)
    made = await datasets.add("mine", QUERIES)
    assert await datasets.add("mine", QUERIES) == made
    other_name = await datasets.add("yours", QUERIES)
    other_order = await datasets.add("mine", QUERIES[::-1])
    empty = await datasets.add("empty", ())
    assert other_name.sha256 == made.sha256 != other_order.sha256
    listed = await datasets.list(limit=10)
    assert {item.id for item in listed} == {made.id, other_name.id, other_order.id, empty.id}
    assert [item.at for item in listed] == sorted((item.at for item in listed), reverse=True)
    assert await datasets.queries(empty.id) == ()


async def test_a_dataset_with_the_same_id_twice_is_refused_whole(database: Database) -> None:
    datasets = DatasetRepository(database)
    with pytest.raises(ConflictError):
        await datasets.add("mine", [QUERIES[0], QUERIES[0]])
    assert await datasets.list(limit=10) == ()


async def test_an_unknown_dataset_is_not_found(database: Database) -> None:
    with pytest.raises(NotFoundError):
        await DatasetRepository(database).get("ds_none")


def always(_: JsonObject) -> bool:
    return True


async def found(selections: SelectionRepository, key: SelectionKey) -> JsonObject | None:
    """What is shared under ``key``."""
    return (await selections.find_all([key])).get(key)


async def share(db: Database, selection: JsonObject) -> JsonObject:
    """Have some optimization share ``selection``; what it uses."""
    return await SelectionRepository(db).pin(await new_lease(db), KEY, selection, shared_if=always)


async def test_a_selection_is_found_by_all_that_it_depends_on(database: Database) -> None:
    selections = SelectionRepository(database)
    assert await found(selections, KEY) is None
    await share(database, {"criteria": ["Clarity"]})
    assert await found(selections, KEY) == {"criteria": ["Clarity"]}
    for other in (
        SelectionKey(query_sha256="7" * 64, selector_model="backend/model", template_version="abc"),
        SelectionKey(query_sha256=KEY.query_sha256, selector_model="backend/other", template_version="abc"),
        SelectionKey(query_sha256=KEY.query_sha256, selector_model="backend/model", template_version="abd"),
    ):
        assert await found(selections, other) is None


async def test_of_selections_made_at_once_all_get_the_same(database: Database) -> None:
    selections = SelectionRepository(database)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(share(database, {"n": n})) for n in range(5)]
    results = [task.result() for task in tasks]
    assert all(result == results[0] for result in results)
    assert await found(selections, KEY) == results[0]


async def test_a_new_probe_replaces_the_old(database: Database) -> None:
    capabilities = CapabilityRepository(database)
    assert await capabilities.find("local", "small") is None
    first = await capabilities.put("local", "small", {"n": True})
    assert await capabilities.find("local", "small") == first
    second = await capabilities.put("local", "small", {"n": False})
    assert (second.backend, second.model, second.record) == ("local", "small", {"n": False})
    assert second.probed_at >= first.probed_at
    assert await capabilities.find("local", "small") == second
    assert await capabilities.find("local", "large") is None


async def test_what_an_optimization_has_pinned_stays_whatever_the_cache_says(database: Database) -> None:
    selections, lease = SelectionRepository(database), await new_lease(database)
    job, other = lease.optimization_id, await new_lease(database)
    assert await selections.pins(job) == {}
    assert await selections.pin(lease, KEY, {"n": 1}) == {"n": 1}
    assert await share(database, {"n": 2}) == {"n": 2}
    assert await selections.pin(lease, KEY, {"n": 2}) == {"n": 1}
    assert await selections.pins(job) == {KEY: {"n": 1}}
    assert await selections.pin(other, KEY, {"n": 2}) == {"n": 2}


async def test_a_shared_pin_is_what_the_first_has_shared(database: Database) -> None:
    selections = SelectionRepository(database)
    first, second, own = await new_lease(database), await new_lease(database), await new_lease(database)
    assert await selections.pin(own, KEY, {"n": 0}) == {"n": 0}
    assert await found(selections, KEY) is None
    assert await selections.pin(first, KEY, {"n": 1}, shared_if=always) == {"n": 1}
    assert await selections.pin(second, KEY, {"n": 2}, shared_if=always) == {"n": 1}
    assert await selections.pin(own, KEY, {"n": 3}, shared_if=always) == {"n": 0}
    assert await found(selections, KEY) == {"n": 1}
    assert await selections.pins(second.optimization_id) == {KEY: {"n": 1}}


async def test_what_others_have_shared_is_not_used_where_it_does_not_suit(database: Database) -> None:
    selections, lease = SelectionRepository(database), await new_lease(database)
    await share(database, {"n": 1})
    assert await selections.pin(lease, KEY, {"n": 2}, shared_if=lambda found: found["n"] == 2) == {"n": 2}
    assert await selections.pins(lease.optimization_id) == {KEY: {"n": 2}}
    assert await found(selections, KEY) == {"n": 1}


async def test_who_lost_the_lease_pins_nothing(database: Database) -> None:
    selections, lease = SelectionRepository(database), await new_lease(database)
    await take_over(database, lease)
    with pytest.raises(LostLeaseError):
        await selections.pin(lease, KEY, {"n": 1})
    assert await selections.pins(lease.optimization_id) == {}
