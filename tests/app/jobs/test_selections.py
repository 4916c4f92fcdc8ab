"""A job judges by the same criteria in all its attempts, whatever other jobs put into the shared cache."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import delete, select

from app.jobs.selections import JobSelections
from optimizer.types import JsonObject
from rewards.types import SelectionSource
from store.calls import CallLedger, LedgerScope
from store.connections import Database
from store.errors import LostLeaseError
from store.models.criterion_selection import CriterionSelection
from store.models.optimization_selection import OptimizationSelection
from store.records.calls import CallSpend
from store.records.optimizations import Lease
from store.repositories.selections import SelectionKey as StoredKey
from store.repositories.selections import SelectionRepository
from tests.app.jobs.backend import Replace
from tests.app.jobs.selections import (
    FALLBACK,
    KEY,
    OURS,
    SELECTED,
    STORED,
    THEIRS,
    Beside,
    WaitedError,
    selections_of,
    share,
    shared,
)
from tests.app.jobs.service import open_service, outcome
from tests.store.steps import new_lease, take_over


async def test_of_two_jobs_that_choose_at_once_both_use_what_the_first_has_put(database: Database) -> None:
    first = await selections_of(database, await new_lease(database))
    second = await selections_of(database, await new_lease(database))
    assert await first.get(KEY) is None
    assert await second.get(KEY) is None
    assert await first.put(KEY, THEIRS, SELECTED) == THEIRS
    assert await second.put(KEY, OURS, SELECTED) == THEIRS
    assert await second.get(KEY) == THEIRS


async def test_a_fallback_stays_the_jobs_own(database: Database) -> None:
    lease = await new_lease(database)
    ours, other = (
        await selections_of(database, lease),
        await selections_of(database, await new_lease(database)),
    )
    assert await ours.put(KEY, OURS, FALLBACK) == OURS
    assert await other.get(KEY) is None
    assert await other.put(KEY, THEIRS, SELECTED) == THEIRS
    assert await (await selections_of(database, await take_over(database, lease))).get(KEY) == OURS


async def test_what_a_job_took_from_the_cache_stays_when_the_cache_changes(database: Database) -> None:
    lease = await new_lease(database)
    await share(database, STORED, OURS)
    assert await (await selections_of(database, lease)).get(KEY) == OURS
    await change_cache(database)
    assert await shared(database, STORED) == THEIRS
    assert await (await selections_of(database, await take_over(database, lease))).get(KEY) == OURS


async def test_what_cannot_be_read_is_not_taken_from_the_cache(database: Database) -> None:
    odd: JsonObject = {"criteria": "of another version"}
    await share(database, STORED, odd)
    ours = await selections_of(database, await new_lease(database))
    assert await ours.get(KEY) is None
    assert await ours.put(KEY, OURS, SELECTED) == OURS
    assert await ours.get(KEY) == OURS


@asynccontextmanager
async def asking(
    database: Database, lease: Lease
) -> AsyncIterator[tuple[CallLedger, LedgerScope, JobSelections]]:
    """A job that has asked its selector, whose answer is due."""
    async with CallLedger(database) as ledger:
        scope = await ledger.open(lease)
        ours = await selections_of(database, lease, scope)
        await scope.intend("k", role="selector", model="b/m")
        yield ledger, scope, ours


async def test_a_selection_is_pinned_with_the_answer_that_it_was_read_from(database: Database) -> None:
    lease = await new_lease(database)
    async with asking(database, lease) as (ledger, scope, ours):
        scope.complete("k", "criteria", CallSpend(calls=1))
        assert await ours.put(KEY, OURS, SELECTED) == OURS
        await scope.intend("of the judge", role="judge", model="b/m")
        assert len(await ledger.recorded(lease.optimization_id)) == 1
        assert await SelectionRepository(database).pins(lease.optimization_id) == {STORED: OURS}
        assert await shared(database, STORED) == OURS


async def test_nothing_is_pinned_where_the_answer_before_it_is_lost(database: Database) -> None:
    lease = await new_lease(database)
    async with asking(database, lease) as (_, scope, ours):
        await take_over(database, lease)
        scope.complete("k", "criteria", CallSpend(calls=1))
        with pytest.raises(LostLeaseError):
            await choose_and_ask_the_judge(ours, scope)
    assert await SelectionRepository(database).pins(lease.optimization_id) == {}
    assert await shared(database, STORED) is None


async def choose_and_ask_the_judge(ours: JobSelections, scope: LedgerScope) -> None:
    """What follows on the selector's answer."""
    await ours.put(KEY, OURS, SELECTED)
    await scope.intend("of the judge", role="judge", model="b/m")


@pytest.mark.parametrize("source", [SELECTED, FALLBACK])
async def test_a_job_waits_for_its_pin_only_where_another_process_may_have_been_faster(
    database: Database, source: SelectionSource
) -> None:
    beside = Beside()
    ours = await selections_of(database, await new_lease(database), beside)
    if database.dialect == "postgresql" and source is SELECTED:
        with pytest.raises(WaitedError):
            await ours.put(KEY, OURS, source)
        return
    assert await ours.put(KEY, OURS, source) == OURS
    assert await ours.put(KEY, THEIRS, source) == OURS
    assert await ours.get(KEY) == OURS
    assert len(beside.told) == 1


async def test_what_was_shared_before_is_used_without_waiting_for_the_pin(database: Database) -> None:
    await share(database, STORED, THEIRS)
    beside = Beside()
    ours = await selections_of(database, await new_lease(database), beside)
    assert await ours.get(KEY) == THEIRS
    assert len(beside.told) == 1


async def test_jobs_that_choose_for_the_same_queries_at_once_do_not_lock_each_other(
    database: Database,
) -> None:
    first, second = await new_lease(database), await new_lease(database)
    keys = [replace(KEY, query_sha256=f"{n:064}") for n in range(20)]
    process = SelectionRepository(database) if database.dialect == "sqlite" else None
    async with CallLedger(database) as one, CallLedger(database) as other:
        ours = await selections_of(database, first, await one.open(first), repository=process)
        theirs = await selections_of(database, second, await other.open(second), repository=process)
        found = await asyncio.gather(
            *(ours.put(key, OURS, SELECTED) for key in keys),
            *(theirs.put(key, THEIRS, SELECTED) for key in reversed(keys)),
        )
    assert found[:20] == found[:19:-1]


def spoil_selections(role: str, _: int, __: str) -> str | None:
    """The selector never says anything that can be read."""
    return "Whatever you like." if role == "selector" else None


@pytest.mark.parametrize("replace", [None, spoil_selections], ids=["selected", "fallback"])
async def test_a_resumed_job_judges_by_its_first_criteria_and_repeats_no_call(
    database_url: str, other_sqlite_url: str, database: Database, replace: Replace | None
) -> None:
    async with open_service(database_url) as service:
        first = service.backend
        first.replace, first.hold_from = replace, 18
        job = await service.start()
        await first.held.wait()
    assert await change_cache(database) > 0

    async with open_service(database_url) as service:
        second = service.backend
        second.replace = replace
        await service.finished(job)
        interrupted = await outcome(service, job)

    async with open_service(other_sqlite_url) as service:
        alone = service.backend
        alone.replace = replace
        assert interrupted == await outcome(service, (await service.run())["id"])
    assert first.answered + second.answered == alone.answered


async def change_cache(database: Database) -> int:
    """Have other jobs replace every selection that a job has used; how many."""
    async with database.session() as session:
        await session.execute(delete(CriterionSelection))
        rows = (await session.scalars(select(OptimizationSelection))).all()
    for row in rows:
        key = StoredKey(
            query_sha256=row.query_sha,
            selector_model=row.selector_model,
            template_version=row.template_version,
        )
        await share(database, key, THEIRS)
    return len(rows)
