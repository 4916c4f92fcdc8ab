"""The ledger is kept within its bounds while the service runs, and says how much it holds."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from typing_extensions import override

from app.jobs.sweeper import LedgerSweeper
from app.llm.simulated.embeddings import EMBEDDER
from app.settings import LedgerSettings
from store.errors import StoreUnavailableError
from store.repositories.call_retention import CallRetention
from store.repositories.vector_retention import VectorRetention
from tests.app.jobs.service import JobService, open_service


def sweeper(service: JobService, *, keep_jobs_days: float | None = None, **bounds: Any) -> LedgerSweeper:
    """A sweeper of the service's ledger under other bounds."""
    resources = service.resources
    return LedgerSweeper(
        resources.retention,
        resources.optimizations,
        LedgerSettings(**bounds),
        deletion=resources.deletion,
        vectors=VectorRetention(resources.database),
        keep_jobs_days=keep_jobs_days,
    )


async def test_the_size_is_visible_for_each_job_and_for_all(database_url: str) -> None:
    async with open_service(database_url) as service:
        first = await service.run()
        second = await service.run(settings={"seed": 3})
        for job in (first, second):
            assert job["usage"]["ledger"]["calls"] == job["usage"]["calls"] > 0
            assert job["usage"]["ledger"]["bytes"] > 300 * job["usage"]["calls"]
        ledger = await service.get("/v1/ledger")
        for figure in ("calls", "bytes"):
            assert ledger[figure] == first["usage"]["ledger"][figure] + second["usage"]["ledger"][figure]
        assert (ledger["keep_days"], ledger["max_bytes"]) == (90.0, 5 * 2**30)


async def test_a_sweep_drops_the_oldest_and_keeps_what_it_has_cost(database_url: str) -> None:
    async with open_service(database_url) as service:
        old, new = await service.run(), await service.run(settings={"seed": 3})
        most = new["usage"]["ledger"]["bytes"]
        assert await sweeper(service, keep_days=None, max_bytes=most).sweep() == (old["id"],)
        assert await sweeper(service, keep_days=None, max_bytes=most).sweep() == ()

        shown = await service.get(f"/v1/optimizations/{old['id']}")
        assert (shown["usage"]["calls"], shown["usage"]["by_role"]) == (
            old["usage"]["calls"],
            old["usage"]["by_role"],
        )
        assert shown["usage"]["ledger"]["calls"] == 0
        assert shown["usage"]["ledger"]["dropped_at"] is not None
        ledger = await service.get("/v1/ledger")
        assert (ledger["bytes"], ledger["dropped_optimizations"]) == (most, 1)
        async with service.resources.database.read() as session:
            left = await session.scalar(text("SELECT count(*) FROM model_calls"))
        assert left == new["usage"]["ledger"]["calls"]


async def test_a_job_that_waits_to_be_replayed_keeps_its_calls(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        source = (await service.run())["id"]
    async with open_service(sqlite_url, jobs={"max_running": 0}) as service:
        await service.start()
        bank = {"examples": [{"query": "Why?", "answer": "So."}, {"query": "How?", "answer": "Thus."}]}
        assert (await service.post("/v1/example-banks", bank)).status_code == 202, "it has no such spec"
        replay = (await service.post(f"/v1/optimizations/{source}/replay", {})).json()["id"]
        assert await sweeper(service, keep_days=0).sweep() == ()
        await service.post(f"/v1/optimizations/{replay}/cancel")
        assert await sweeper(service, keep_days=0).sweep() == (source,)


async def test_vectors_are_kept_within_their_bounds_and_made_again_where_they_are_needed(
    database_url: str,
) -> None:
    by_meaning = {"kind": "backend", "backend": "simulated", "model": EMBEDDER}
    async with open_service(database_url, retrieval=by_meaning) as service:
        first = await service.run(label=None)
        vectors = (await service.get("/v1/ledger"))["vectors"]
        assert vectors["count"] > 20
        assert vectors["bytes"] > 200 * vectors["count"]
        assert (vectors["keep_days"], vectors["max_bytes"]) == (365.0, 2**30)
        await sweeper(service).sweep()
        assert (await service.get("/v1/ledger"))["vectors"] == vectors
        await sweeper(service, vector_max_bytes=0).sweep()
        assert (await service.get("/v1/ledger"))["vectors"]["count"] == 0
        again = await service.run(label=None)
        calls = [job["usage"]["by_role"]["embedder"]["calls"] for job in (first, again)]
        assert calls[0] == calls[1]
        assert (await service.get("/v1/ledger"))["vectors"]["count"] == vectors["count"]


async def test_two_sweepers_that_delete_the_same_jobs_don_t_trip_over_each_other(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_service(database_url) as service:
        jobs = [await service.run(held_out=0), await service.run(held_out=0)]
        deletion = service.resources.deletion
        expired = deletion.expired

        async def overtaken(**arguments: Any) -> tuple[str, ...]:
            found = await expired(**arguments)
            monkeypatch.setattr(deletion, "expired", expired)
            await sweeper(service, keep_jobs_days=0.0).sweep()
            return found

        monkeypatch.setattr(deletion, "expired", overtaken)
        await sweeper(service, keep_jobs_days=0.0).sweep()
        assert await deletion.deleted(frozenset(job["id"] for job in jobs)) == {job["id"] for job in jobs}


async def test_jobs_that_are_read_don_t_keep_those_behind_them_from_being_deleted(
    service: JobService,
) -> None:
    first, second = await service.run(held_out=0), await service.run(held_out=0)
    expired = service.resources.deletion.expired
    assert await expired(keep_seconds=0.0, protected=(), limit=1) == (first["id"],)
    assert await expired(keep_seconds=0.0, protected={first["id"]}, limit=1) == (second["id"],)


async def test_sweeping_goes_on_after_a_failure(service: JobService) -> None:
    source = (await service.run())["id"]

    class Failing(CallRetention):
        """Fails twice."""

        failures = 0

        @override
        async def summarise(self, *, limit: int = 100) -> int:
            self.failures += 1
            if self.failures == 1:
                raise StoreUnavailableError("away")
            if self.failures == 2:
                raise ValueError("a bug")
            return await super().summarise(limit=limit)

        @override
        async def delete_dropped(self) -> int:
            deleted = await super().delete_dropped()
            if not deleted:
                swept.set()
            return deleted

    swept = asyncio.Event()
    settings = LedgerSettings(sweep_seconds=0.001, keep_days=0)
    retention = Failing(service.resources.database)
    resources = service.resources
    sweeping = LedgerSweeper(
        retention,
        resources.optimizations,
        settings,
        deletion=resources.deletion,
        vectors=VectorRetention(resources.database),
        keep_jobs_days=None,
    )
    async with sweeping.in_background():
        await swept.wait()
    assert (await service.get(f"/v1/optimizations/{source}"))["usage"]["ledger"]["dropped_at"] is not None
