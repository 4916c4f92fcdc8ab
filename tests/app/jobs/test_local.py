"""The local runner: how many at once, when it looks, and what it does while the store is away."""

import asyncio
import logging

import pytest
from sqlalchemy.exc import DBAPIError
from typing_extensions import override

from app.job_settings import JobSettings
from app.jobs.local import LocalRunner
from app.jobs.tenure import Tenure
from app.jobs.worker import JobWorker
from optimizer.types import JsonObject
from store.connections import Database
from store.errors import StoreUnavailableError
from store.records.optimizations import Claim, OptimizationStatus, Software
from store.repositories.optimizations import OptimizationRepository
from tests.app.jobs.service import JobService, open_service

HOUR = 3600.0


class GatedWorker(JobWorker):
    """Notes what it is given and works on it until it is let go.

    Attributes:
        begun: ids, in the order in which they came.
        cancelled: ids whose task was cancelled.
        open: how many may end.
    """

    def __init__(self, optimizations: OptimizationRepository) -> None:
        self._optimizations = optimizations
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.open = asyncio.Semaphore(0)
        self.at_work = 0
        self.fails = False

    @override
    async def work(self, claim: Claim, cancel: asyncio.Event, tenure: Tenure | None = None) -> None:
        self.at_work += 1
        self.begun.put_nowait(claim.lease.optimization_id)
        try:
            await self.open.acquire()
            if self.fails:
                raise ZeroDivisionError
            await self._optimizations.finish(claim.lease, OptimizationStatus.SUCCEEDED, result={})
        finally:
            self.at_work -= 1


def runner(
    database: Database, worker: JobWorker, *, max_running: int = 2, poll_seconds: float = HOUR
) -> LocalRunner:
    """A runner on ``database`` that looks for jobs only when it is woken."""
    return LocalRunner(
        OptimizationRepository(database),
        worker,
        database.wakeups,
        JobSettings(max_running=max_running, lease_seconds=60, poll_seconds=poll_seconds),
    )


async def queue(database: Database, count: int = 1) -> list[str]:
    """Queued jobs, oldest first."""
    spec: JsonObject = {}
    optimizations = OptimizationRepository(database)
    return [(await optimizations.create(spec=spec, target="small")).id for _ in range(count)]


async def test_no_more_jobs_run_than_allowed_and_the_oldest_first(database: Database) -> None:
    jobs = await queue(database, 5)
    worker = GatedWorker(OptimizationRepository(database))
    async with runner(database, worker, max_running=2):
        begun = []
        for _ in range(3):
            begun.append(await worker.begun.get())
            assert worker.at_work <= 2
            if len(begun) >= 2:
                assert worker.begun.empty()
                worker.open.release()
        begun += [await worker.begun.get()]
    assert begun == jobs[:4]


async def test_a_runner_that_may_run_nothing_claims_nothing(database: Database) -> None:
    (job,) = await queue(database)
    worker = GatedWorker(OptimizationRepository(database))
    async with runner(database, worker, max_running=0):
        database.wakeups.notify(job, for_workers=True)
    assert worker.begun.empty()
    assert (await OptimizationRepository(database).get(job)).status == "queued"


async def test_a_job_that_was_just_queued_begins_without_a_poll(database: Database) -> None:
    worker = GatedWorker(OptimizationRepository(database))
    async with runner(database, worker):
        (job,) = await queue(database)
        assert await worker.begun.get() == job


async def test_a_job_that_another_process_queued_is_seen_by_a_poll(database: Database) -> None:
    worker = GatedWorker(OptimizationRepository(database))
    async with runner(database, worker, poll_seconds=0.02):
        (job,) = await queue(database)
        assert await worker.begun.get() == job


async def test_a_worker_that_breaks_makes_room_for_the_next_job(database: Database) -> None:
    jobs = await queue(database, 2)
    worker = GatedWorker(OptimizationRepository(database))
    worker.fails = True
    async with runner(database, worker, max_running=1):
        assert await worker.begun.get() == jobs[0]
        worker.open.release()
        assert await worker.begun.get() == jobs[1]


async def test_the_end_of_the_runner_waits_for_its_workers(database: Database) -> None:
    await queue(database, 2)
    worker = GatedWorker(OptimizationRepository(database))
    async with runner(database, worker):
        await worker.begun.get()
        await worker.begun.get()
        assert worker.at_work == 2
    assert worker.at_work == 0


class FlakyRepository(OptimizationRepository):
    """Fails the first time that somebody wants a job."""

    failures = 1
    error: Exception = StoreUnavailableError("it is away")

    @override
    async def claim_next(self, *, owner: str, ttl: float, software: Software) -> Claim | None:
        if self.failures:
            self.failures -= 1
            raise self.error
        return await super().claim_next(owner=owner, ttl=ttl, software=software)


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (StoreUnavailableError("it is away"), logging.WARNING),
        (ZeroDivisionError("a bug"), logging.ERROR),
        (DBAPIError("SELECT 1", None, OSError("odd")), logging.ERROR),
    ],
)
async def test_a_store_that_failed_is_asked_again(
    sqlite_url: str, error: Exception, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(sqlite_url)
    (job,) = await queue(database)
    flaky = FlakyRepository(database)
    flaky.error = error
    worker = GatedWorker(flaky)
    settings = JobSettings(max_running=1, lease_seconds=60, poll_seconds=0.01)
    waiting = LocalRunner(flaky, worker, database.wakeups, settings)
    async with waiting:
        assert await worker.begun.get() == job
    assert flaky.failures == 0
    assert [record.levelno for record in caplog.records if record.name == "app.jobs.local"] == [level]
    await database.close()


async def test_a_second_job_waits_for_the_first_and_then_runs(database_url: str) -> None:
    async with open_service(database_url, jobs={"max_running": 1}) as service:
        service.backend.hold_from = 1
        first = await service.start(held_out=0)
        second = await service.start(held_out=0)
        await service.backend.held.wait()
        assert await status(service, first) == "running"
        assert await status(service, second) == "queued"
        service.backend.opened.set()
        await service.wait_for(first)
        await service.wait_for(second)
        assert [await status(service, job) for job in (first, second)] == ["succeeded", "succeeded"]


async def test_jobs_beside_each_other_don_t_mix(database_url: str) -> None:
    async with open_service(database_url, jobs={"max_running": 3}) as service:
        jobs = [await service.start(settings={"seed": seed}, held_out=0) for seed in (1, 2, 3)]
        found = [await service.finished(job) for job in jobs]
        alone = await service.run(settings={"seed": 2}, held_out=0)
        assert [item["status"] for item in found] == ["succeeded"] * 3
        assert found[1]["best"] == alone["best"]
        trees = [await service.candidates(job) for job in (jobs[1], alone["id"])]
        assert trees[0] == trees[1]


async def status(service: JobService, job: str) -> str:
    """Where the job stands."""
    return str((await service.get(f"/v1/optimizations/{job}"))["status"])
