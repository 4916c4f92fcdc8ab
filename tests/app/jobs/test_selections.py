"""A job judges by the same criteria in all its attempts, whatever other jobs put into the shared cache."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import delete, select

from app.jobs.records import JobSelections
from optimizer.types import JsonObject
from rewards.selection_json import selection_to_json
from rewards.types import SelectionKey, SelectionSource
from store.connections import Database
from store.models.criterion_selection import CriterionSelection
from store.models.optimization_selection import OptimizationSelection
from store.records.optimizations import Lease
from store.repositories.selections import SelectionKey as StoredKey
from store.repositories.selections import SelectionRepository
from tests.app.jobs.backend import Replace
from tests.app.jobs.service import open_service, outcome
from tests.rewards.builders import listed, selection
from tests.store.steps import new_lease, take_over

KEY = SelectionKey(query_sha256="0" * 64, selector_model="b/m", template_version="t")
OURS = selection_to_json(selection(listed("Safety"), listed("Depth")))
THEIRS = selection_to_json(selection(listed("Clarity"), listed("Depth")))
SELECTED, FALLBACK = SelectionSource.SELECTED, SelectionSource.FALLBACK
STORED = StoredKey(query_sha256="0" * 64, selector_model="b/m", template_version="t")


async def nothing_to_keep() -> None:
    """A ledger whose answers are all durable."""


async def selections_of(
    database: Database, lease: Lease, answers_kept: Callable[[], Awaitable[None]] = nothing_to_keep
) -> JobSelections:
    """The selections of the job under ``lease``."""
    return await JobSelections.open(SelectionRepository(database), lease, answers_kept=answers_kept)


async def share(database: Database, key: StoredKey, value: JsonObject) -> None:
    """Have another job share ``value``."""
    other = await new_lease(database)
    await SelectionRepository(database).pin(other, key, value, shared_if=lambda _: True)


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
    assert await SelectionRepository(database).find(STORED) == THEIRS
    assert await (await selections_of(database, await take_over(database, lease))).get(KEY) == OURS


async def test_what_cannot_be_read_is_not_taken_from_the_cache(database: Database) -> None:
    odd: JsonObject = {"criteria": "of another version"}
    await share(database, STORED, odd)
    ours = await selections_of(database, await new_lease(database))
    assert await ours.get(KEY) is None
    assert await ours.put(KEY, OURS, SELECTED) == OURS
    assert await ours.get(KEY) == OURS


async def test_a_selection_is_pinned_after_the_answer_that_it_was_read_from(database: Database) -> None:
    lease, log = await new_lease(database), []

    async def answers_kept() -> None:
        log.append(await SelectionRepository(database).pins(lease.optimization_id))

    ours = await selections_of(database, lease, answers_kept)
    assert await ours.put(KEY, OURS, SELECTED) == OURS
    assert log == [{}]


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
