"""A worker while the store is away, and a job that slips out of its hands at the last moment."""

import asyncio
import logging

import pytest
from typing_extensions import override

from app.job_settings import JobSettings
from app.jobs.run import Finding, OptimizationRun
from app.jobs.tenure import Tenure
from app.jobs.worker import JobWorker, WorkerStore
from optimizer.errors import TemplateError
from store.connections import Database
from store.errors import LostLeaseError, StoreUnavailableError
from store.records.optimizations import Beat, Claim, Lease, OptimizationStatus
from store.repositories.optimizations import OptimizationRepository
from store.repositories.prompts import PromptRepository
from tests.store.steps import ANY_SOFTWARE, TTL, new_optimization, take_over


class ScriptedRun(OptimizationRun):
    """Waits until it is let, then fails as told.

    Attributes:
        open: set it to let it fail.
        cancelled: whether it was cancelled before.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.open = asyncio.Event()
        self.cancelled = False

    @override
    async def run(self, claim: Claim, tenure: Tenure) -> Finding:
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        raise self._error


class AwayRepository(OptimizationRepository):
    """Cannot be reached by the next ``beats`` beats; ``beaten`` tells of each."""

    def __init__(self, database: Database, beats: int) -> None:
        super().__init__(database)
        self.beats = beats
        self.beaten = asyncio.Semaphore(0)

    @override
    async def beat(self, lease: Lease, *, ttl: float, elapsed: float = 0.0) -> Beat:
        self.beaten.release()
        if self.beats:
            self.beats -= 1
            raise StoreUnavailableError("it is away")
        return await super().beat(lease, ttl=ttl, elapsed=elapsed)


def worker_on(
    database: Database,
    run: OptimizationRun,
    optimizations: OptimizationRepository | None = None,
    *,
    lease_seconds: float = TTL,
) -> JobWorker:
    """A worker whose jobs are ``run``."""
    store = WorkerStore(
        optimizations=optimizations or OptimizationRepository(database),
        prompts=PromptRepository(database),
    )
    return JobWorker(
        store, run, settings=JobSettings(lease_seconds=lease_seconds), on_label_moved=lambda _: None
    )


async def new_claim(database: Database) -> Claim:
    """A claimed job."""
    await new_optimization(database)
    claim = await OptimizationRepository(database).claim_next(owner="ann", ttl=TTL, software=ANY_SOFTWARE)
    assert claim is not None
    return claim


async def status(database: Database, claim: Claim) -> OptimizationStatus:
    """Where the job stands."""
    return (await OptimizationRepository(database).get(claim.lease.optimization_id)).status


async def test_a_store_that_is_away_for_a_beat_costs_no_lease(database: Database) -> None:
    claim, run = await new_claim(database), ScriptedRun(TemplateError("a known one"))
    away = AwayRepository(database, beats=1)
    working = asyncio.create_task(
        worker_on(database, run, away, lease_seconds=0.4).work(claim, asyncio.Event())
    )
    for _ in range(3):
        await away.beaten.acquire()
    assert not run.cancelled
    run.open.set()
    await working
    ended = await OptimizationRepository(database).get(claim.lease.optimization_id)
    assert ended.status is OptimizationStatus.FAILED
    assert ended.error is not None
    assert (ended.error.code, ended.error.message) == ("job_failed", "a known one")


async def test_who_cannot_reach_the_store_for_most_of_a_lease_stops_to_spend(database: Database) -> None:
    claim, run = await new_claim(database), ScriptedRun(ZeroDivisionError())
    away = AwayRepository(database, beats=10**6)
    await worker_on(database, run, away, lease_seconds=0.2).work(claim, asyncio.Event())
    assert run.cancelled
    assert away.beats > 10**6 - 20  # with a pause between them
    assert await status(database, claim) is OptimizationStatus.RUNNING


async def test_a_cancelled_job_asks_an_absent_store_with_pauses(database: Database) -> None:
    claim, run, cancel = await new_claim(database), ScriptedRun(ZeroDivisionError()), asyncio.Event()
    cancel.set()
    away = AwayRepository(database, beats=10**6)
    await worker_on(database, run, away, lease_seconds=0.2).work(claim, cancel)
    assert away.beats > 10**6 - 20


@pytest.mark.parametrize("error", [StoreUnavailableError("it is away"), LostLeaseError("opt", 1)])
async def test_a_job_that_the_store_left_goes_on_later(
    database: Database, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    claim, run = await new_claim(database), ScriptedRun(error)
    run.open.set()
    await worker_on(database, run).work(claim, asyncio.Event())
    assert await status(database, claim) is OptimizationStatus.RUNNING
    assert [record.levelno for record in caplog.records if record.name == "app.jobs.worker"] == [
        logging.WARNING
    ]


async def test_a_failure_of_a_job_that_is_somebody_elses_is_not_written(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    claim, run = await new_claim(database), ScriptedRun(TemplateError("a known one"))
    await take_over(database, claim.lease)
    run.open.set()
    await worker_on(database, run).work(claim, asyncio.Event())
    assert await status(database, claim) is OptimizationStatus.RUNNING
    assert any("another worker ends it" in record.getMessage() for record in caplog.records)


async def test_a_cancelled_worker_gives_its_lease_back(database: Database) -> None:
    claim, run = await new_claim(database), ScriptedRun(ZeroDivisionError())
    away = AwayRepository(database, beats=0)
    working = asyncio.create_task(
        worker_on(database, run, away, lease_seconds=0.4).work(claim, asyncio.Event())
    )
    await away.beaten.acquire()
    working.cancel()
    await asyncio.wait([working])
    assert working.cancelled()
    assert run.cancelled
    again = await OptimizationRepository(database).claim_next(owner="bob", ttl=TTL, software=ANY_SOFTWARE)
    assert again is not None
    assert again.optimization.elapsed_seconds > 0
