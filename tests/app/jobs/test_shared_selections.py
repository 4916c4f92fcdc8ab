"""Selections are looked up together, and on SQLite one process decides which one all jobs use."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from types import SimpleNamespace

import pytest
from typing_extensions import override

from optimizer.types import JsonObject
from rewards.selector import query_sha256
from rewards.types import SelectionKey
from store.calls import CallLedger
from store.connections import Database
from store.repositories.selections import SelectionKey as StoredKey
from store.repositories.selections import SelectionRepository
from tests.app.jobs.selections import (
    KEY,
    OURS,
    SELECTED,
    STORED,
    THEIRS,
    Beside,
    selections_of,
    share,
    shared,
)
from tests.store.steps import new_lease, take_over


@pytest.fixture
async def one_process(sqlite_url: str) -> AsyncIterator[Database]:
    """A database whose jobs run in one process."""
    database = Database(sqlite_url)
    yield database
    await database.close()


async def test_jobs_of_one_process_use_what_the_first_has_decided_though_it_is_not_stored_yet(
    one_process: Database,
) -> None:
    process, beside = SelectionRepository(one_process), Beside()
    first = await selections_of(one_process, await new_lease(one_process), beside, repository=process)
    second = await selections_of(one_process, await new_lease(one_process), beside, repository=process)
    third = await selections_of(one_process, await new_lease(one_process), beside, repository=process)
    assert await second.get(KEY) is None
    assert await first.put(KEY, THEIRS, SELECTED) == THEIRS
    assert await second.put(KEY, OURS, SELECTED) == THEIRS
    assert await third.get(KEY) == THEIRS


def test_what_was_decided_long_ago_is_left_to_the_database(
    one_process: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.repositories.selections._REMEMBERED", 2)
    process = SelectionRepository(one_process)
    keys = [replace(STORED, query_sha256=query_sha256(str(n))) for n in range(3)]
    for key in (*keys[:2], keys[0], keys[2]):
        assert process.decide(key, OURS, lambda _: True) == OURS
    assert [process.decided(key) for key in keys] == [None, OURS, OURS]


@pytest.mark.parametrize(("how", "arguments"), [("put", (KEY, OURS, SELECTED)), ("get", (KEY,))])
async def test_what_a_job_has_lost_with_its_lease_is_shared_by_the_one_that_took_it(
    one_process: Database, how: str, arguments: tuple[object, ...]
) -> None:
    process = SelectionRepository(one_process)
    gone, lease = await new_lease(one_process), await new_lease(one_process)
    async with CallLedger(one_process) as ledger:
        lost = await selections_of(one_process, gone, await ledger.open(gone), repository=process)
        scope = await ledger.open(lease)
        ours = await selections_of(one_process, lease, scope, repository=process)
        await take_over(one_process, gone)
        assert await lost.put(KEY, THEIRS, SELECTED) == THEIRS
        assert await getattr(ours, how)(*arguments) == THEIRS
        await scope.flush()
    assert await shared(one_process, STORED) == THEIRS
    assert await process.pins(lease.optimization_id) == {STORED: THEIRS}
    assert await process.pins(gone.optimization_id) == {}


class Counted(SelectionRepository):
    """How many selections were looked up at once, each time."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.looked: list[int] = []

    @override
    async def find_all(self, keys: Collection[StoredKey]) -> dict[StoredKey, JsonObject]:
        self.looked.append(len(keys))
        return await super().find_all(keys)


def of_text(text: str) -> SelectionKey:
    """The key of a query."""
    return replace(KEY, query_sha256=query_sha256(text))


async def test_expected_queries_are_looked_up_together_and_again_after_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("app.jobs.selections.time", SimpleNamespace(monotonic=lambda: now))
    texts = [f"query {n}" for n in range(30)]
    stored = [replace(STORED, query_sha256=query_sha256(text)) for text in texts]
    await share(database, stored[3], THEIRS)
    process = Counted(database)
    ours = await selections_of(database, await new_lease(database), Beside(), repository=process)
    ours.expect(texts)
    found = await asyncio.gather(*(ours.get(of_text(text)) for text in texts))
    assert [n for n, selection in enumerate(found) if selection] == [3]
    assert process.looked == [30]

    await share(database, stored[4], OURS)  # in another process
    assert await ours.get(of_text(texts[4])) is None
    now += 1.0
    assert await ours.get(of_text(texts[4])) == OURS
    assert await ours.get(of_text(texts[5])) is None
    assert await ours.get(of_text(texts[3])) == THEIRS
    assert process.looked == [30, 29]


async def test_a_query_that_nobody_expected_is_looked_up_as_well(database: Database) -> None:
    await share(database, STORED, THEIRS)
    process = Counted(database)
    ours = await selections_of(database, await new_lease(database), Beside(), repository=process)
    ours.expect(f"query {n}" for n in range(1_000))
    assert await ours.get(KEY) == THEIRS
    assert await ours.get(of_text("query 999")) is None
    assert process.looked == [200, 200]
