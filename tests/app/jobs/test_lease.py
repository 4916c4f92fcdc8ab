"""One owner at a time: a worker that lost its job writes nothing more, and a stopped one gives it back."""

import asyncio
import logging

import pytest
from sqlalchemy import text

from store.connections import Database
from store.repositories.optimizations import OptimizationRepository
from tests.app.jobs.service import JobService, open_service, outcome


async def state(service: JobService, job: str) -> tuple[object, ...]:
    """All that a worker writes."""
    record = await service.resources.optimizations.get(job)
    return (
        record.status,
        record.owner,
        record.fence,
        record.last_seq,
        record.result,
        await service.candidates(job),
        await service.evaluations(job),
        await service.resources.tree.rounds(job),
        await service.resources.spends.by_role(job),
    )


def worker_of(job: str) -> "asyncio.Task[object]":
    """The task that works on ``job``."""
    return next(task for task in asyncio.all_tasks() if task.get_name() == f"work {job}")


async def usurp(job: str, database: Database) -> None:
    """Let another owner take the job, as if this process had been silent for long."""
    statement = text(
        "UPDATE optimizations SET owner = 'other', fence = fence + 1, lease_until = 1e12 WHERE id = :id"
    )
    async with database.session() as session:
        await session.execute(statement, {"id": job})


@pytest.mark.parametrize("hold_from", [4, 12, 25], ids=["seed round", "search", "gate"])
async def test_a_worker_that_lost_its_job_writes_nothing_and_ends_nothing(
    database_url: str, database: Database, hold_from: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_service(database_url) as service:
        service.backend.hold_from = hold_from
        job = await service.start(settings={"seed": 0})
        await service.backend.held.wait()
        worker = worker_of(job)
        await usurp(job, database)
        before = await state(service, job)

        service.backend.opened.set()  # the answers come, but for somebody who may not use them any more
        await asyncio.wait([worker])

        assert await state(service, job) == before
        assert await service.label() is None
    record = await OptimizationRepository(database).get(job)  # the shutdown has given nothing back either
    assert (record.status, record.owner) == ("running", "other")
    assert any("the lease is lost" in item.getMessage() for item in caplog.records)
    assert [item for item in caplog.records if item.levelno >= logging.ERROR] == []


async def test_a_beat_finds_out_that_the_job_is_lost_while_nothing_comes_back(
    database_url: str, database: Database
) -> None:
    async with open_service(database_url, jobs={"lease_seconds": 0.4}) as service:
        service.backend.hold_from = 4
        job = await service.start()
        await service.backend.held.wait()
        worker = worker_of(job)
        await usurp(job, database)
        await asyncio.wait([worker])
        assert service.backend.in_flight == 0


@pytest.mark.parametrize("hold_from", [1, 4, 12, 30], ids=["start", "seed round", "search", "gate"])
async def test_a_stopped_service_gives_its_job_back_and_the_next_one_goes_on(
    database_url: str, other_sqlite_url: str, hold_from: int
) -> None:
    async with open_service(database_url) as service:
        first = service.backend
        first.hold_from = hold_from
        job = await service.start()
        await first.held.wait()

    async with open_service(database_url) as service:
        second = service.backend
        found = await service.finished(job)
        interrupted = await outcome(service, job)
        events = await service.events(job)

    assert found["status"] == "succeeded"
    assert [event.type for event in events].count("optimization_started") == 2
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert first.answered + second.answered == 3 + 6 + 11 + 40  # no finished call was made again
    usage = found["usage"]
    assert usage["calls"] - usage["unknown_calls"] == first.requests.total() + second.requests.total()
    async with open_service(other_sqlite_url) as service:
        assert interrupted == await outcome(service, (await service.run())["id"])
