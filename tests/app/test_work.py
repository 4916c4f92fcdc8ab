"""``drpo worker``: probes and jobs, no API; not on what one process alone can use."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from app.jobs.software import this_software
from app.server import work
from app.settings import Settings
from app.version import VERSION
from optimizer.errors import InvalidInputError
from optimizer.types import JsonObject
from store.connections import Database
from store.repositories.optimizations import OptimizationRepository
from tests.app.jobs.service import open_service, settings_for


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[tuple[str, "asyncio.Task[None]"]]:
    """A worker in this process: where its probes are, and its task."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(work(settings, ready.set_result))
    try:
        task.add_done_callback(lambda _: ready.done() or ready.cancel())
        yield await ready, task
    finally:
        task.cancel()
        await asyncio.wait([task])


def worker_settings(url: str, **jobs: object) -> Settings:
    """A worker that answers probes on a free port."""
    return settings_for(url, worker={"port": 0}, jobs=jobs)


@pytest.mark.parametrize("url", ["sqlite:///some.db", "sqlite+aiosqlite:///some.db"])
async def test_a_worker_on_an_sqlite_file_is_refused_and_told_why(url: str) -> None:
    with pytest.raises(
        InvalidInputError, match=r"an SQLite file has one process: set database.url"
    ) as refused:
        await work(worker_settings(url), lambda _: None)
    assert refused.value.param == "database.url"


async def test_a_worker_that_may_run_nothing_is_refused(postgres_url: str) -> None:
    with pytest.raises(InvalidInputError, match=r"jobs.max_running is 0") as refused:
        await work(worker_settings(postgres_url, max_running=0), lambda _: None)
    assert refused.value.param == "jobs.max_running"


async def test_a_database_of_no_known_kind_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="mysql is not supported"):
        await work(worker_settings("mysql://here/x"), lambda _: None)


async def test_it_answers_probes_and_nothing_else(postgres_url: str) -> None:
    async with (
        working(worker_settings(postgres_url)) as (url, _),
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        for path in ("/livez", "/healthz"):
            assert (await client.get(path)).json() == {"status": "ok", "service": "drpo", "version": VERSION}
        assert (await client.get("/readyz")).json()["status"] == "ok"
        for path in ("/v1/models", "/v1/optimizations", "/openapi.json"):
            assert (await client.get(path)).status_code == 404


async def test_jobs_of_a_service_without_workers_run_on_a_worker(postgres_url: str) -> None:
    async with open_service(postgres_url, jobs={"max_running": 0}) as service:
        job = await service.start(held_out=0)
        assert (await service.get(f"/v1/optimizations/{job}"))["status"] == "queued"
        async with working(worker_settings(postgres_url, poll_seconds=3600.0)):
            assert (await service.finished(job))["status"] == "succeeded"
            later = await service.start(held_out=0)  # the worker hears of it
            assert (await service.finished(later))["status"] == "succeeded"
        assert service.backend.requests.total() == 0


async def test_a_worker_that_is_told_to_stop_leaves_its_job_free_for_the_next_one(postgres_url: str) -> None:
    slow: JsonObject = {"latency_ms": 3_600_000.0}
    async with open_service(postgres_url, jobs={"max_running": 0}) as service:
        job = await service.start(held_out=0)
        settings = settings_for(postgres_url, worker={"port": 0}, simulated=slow)
        async with working(settings):
            await service.wait_for(job, "optimization_started")
        database = Database(postgres_url)
        claim = await OptimizationRepository(database).claim_next(
            owner="next", ttl=60, software=this_software()
        )
        await database.close()
        assert claim is not None
        assert claim.lease.fence == 2
