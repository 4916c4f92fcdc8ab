"""A worker that was frozen sends nothing that it had prepared before, unless the job is still its own."""

import asyncio
from pathlib import Path

import pytest
from typing_extensions import override

from app.clocks import awake_or_asleep
from app.jobs.tenure import Tenure
from app.jobs.watch import LeaseWatch
from store.connections import Database
from store.records.optimizations import Beat, BeatResult, Lease
from store.repositories.optimizations import OptimizationRepository
from tests.app.jobs.service import open_service
from tests.app.jobs.test_lease import state, usurp, worker_of
from tests.store.steps import TTL, new_lease


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_it_is_sure_for_most_of_a_lease_after_the_last_beat() -> None:
    clock = Clock()
    tenure = Tenure(10.0, clock)
    assert tenure.seconds_left == 8.0
    clock.seconds += 3
    asked_at = tenure.now()
    clock.seconds += 2
    tenure.renew(asked_at)
    assert tenure.seconds_left == 6.0  # counted from when the beat was sent
    tenure.renew(asked_at - 1)  # an earlier beat that is answered later takes nothing away
    assert tenure.seconds_left == 6.0
    clock.seconds += 7
    assert tenure.seconds_left == -1.0


async def test_whoever_wants_to_send_waits_for_a_beat_where_it_is_not_sure() -> None:
    clock = Clock()
    tenure = Tenure(10.0, clock)
    await tenure.assured()
    clock.seconds += 9
    waiting = asyncio.create_task(tenure.assured())
    await asyncio.sleep(0)
    tenure.renew(clock.seconds - 8.5)  # a beat from before the freeze
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    tenure.renew(tenure.now())
    await waiting


def test_the_clock_goes_on() -> None:
    first = awake_or_asleep()
    assert awake_or_asleep() >= first


async def test_a_worker_that_wakes_sends_nothing_before_it_knows_whose_the_job_is(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve calls are announced and wait for the one place that there is when the process freezes."""
    clock = Clock()
    monkeypatch.setattr("app.jobs.local.Tenure", lambda seconds: Tenure(seconds, clock))
    monkeypatch.setattr("app.jobs.watch._LONGEST_PAUSE", 1e9)  # no beat comes by itself
    async with open_service(
        database_url, backend={"max_concurrency": 1}, jobs={"lease_seconds": 1e9}
    ) as service:
        service.backend.hold_from = 8
        job = await service.start()
        await service.backend.held.wait()
        worker, sent = worker_of(job), service.backend.requests.total()
        await usurp(job, database)
        before = await state(service, job)

        clock.seconds += 1e10  # so long was it frozen
        service.backend.hold_from = None
        service.backend.opened.set()  # the place is free now
        for _ in range(1000):  # everything that can go on does
            await asyncio.sleep(0)
        assert service.backend.in_flight == 0
        service.resources.database.wakeups.notify(job, for_workers=True)  # brings the next beat
        await asyncio.wait([worker])

        assert service.backend.requests.total() == sent
        assert await state(service, job) == before


async def test_a_worker_that_wakes_in_time_goes_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock()
    monkeypatch.setattr("app.jobs.local.Tenure", lambda seconds: Tenure(seconds, clock))
    async with open_service(
        database_url, backend={"max_concurrency": 1}, jobs={"lease_seconds": 60.0}
    ) as service:
        service.backend.hold_from = 8
        job = await service.start()
        await service.backend.held.wait()
        clock.seconds += 1000
        service.backend.hold_from = None
        service.backend.opened.set()
        assert (await service.finished(job))["status"] == "succeeded"
        assert [event.type for event in await service.events(job)].count("optimization_started") == 1


class HangingRepository(OptimizationRepository):
    """Never answers a beat."""

    @override
    async def beat(self, lease: Lease, *, ttl: float, elapsed: float = 0.0) -> Beat:
        while True:  # as a connection to nowhere, it does not even listen when it is told to stop
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if asyncio.current_task() is None or self.closed:
                    raise

    closed = False


async def test_a_store_that_hangs_costs_the_job_and_not_more(database: Database) -> None:
    repository = HangingRepository(database)
    lease = await new_lease(database)
    tenure = Tenure(0.05)
    watch = LeaseWatch(repository, lease, tenure, lease_seconds=0.05, lap=lambda: 0.0)
    assert await watch.until_stopped(asyncio.Event()) is BeatResult.LOST
    assert tenure.seconds_left <= 0
    repository.closed = True
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    assert (await OptimizationRepository(database).beat(lease, ttl=TTL)).result is BeatResult.HELD
