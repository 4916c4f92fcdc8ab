"""Twelve jobs on three workers that are killed, frozen, cut off from their servers: they find the same."""

import random
from pathlib import Path

import httpx
import pytest

from tests.app.jobs.service import open_service
from tests.chaos.cluster import BACKEND, Store, Worker, running, until
from tests.chaos.disturbances import Installation
from tests.chaos.jobs import SEEDS, finding, post, undisturbed
from tests.chaos.ledger import Finished, all_ended, assert_unharmed, finished_calls
from tests.e2e.test_kill import provider, write_settings
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.redis import RedisServer

LATENCY_MS = 30.0
LEASE_SECONDS = 3.0
KILLS = 4


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_jobs_find_the_same_whatever_happens_to_workers_and_servers(
    postgres: PostgresServer, redis_server: RedisServer, chaos_url: str, sqlite_url: str, tmp_path: Path
) -> None:
    expected, requests = await undisturbed(sqlite_url)
    config, store = tmp_path / "drpo.toml", Store(chaos_url)
    redis_server.begin()
    await redis_server.until_up()
    environment = {"DRPO_REDIS__URL": redis_server.url}
    # room for the jobs of another: they are taken over while no answer comes and no job ends
    command = ("worker", "--config", str(config), "--jobs", "6")
    workers = [Worker(f"worker-{number}", command, tmp_path, environment) for number in range(3)]
    api = Worker("api", ("serve", "--no-jobs", "--config", str(config)), tmp_path, environment)
    async with provider(LATENCY_MS) as counters:
        provider_url = str(counters.base_url).rstrip("/")
        write_settings(config, chaos_url, provider_url, lease_seconds=LEASE_SECONDS, backend=BACKEND)
        async with running([api, *workers]):
            async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=60) as client:
                jobs = {seed: await post(client, seed) for seed in SEEDS}
            installation = Installation(
                workers=workers,
                store=store,
                postgres=postgres,
                redis=redis_server,
                provider=counters,
                draw=random.Random(7),
            )
            await installation.disturb(requests)
            await until(lambda: all_ended(store))
            assert [await worker.stop() for worker in (*workers, api)] == [0, 0, 0, 0]
        counts = (await counters.get("/counts")).json()
    await assert_unharmed(store, counts, installation.finished)
    await store.close()
    async with open_service(chaos_url, jobs={"max_running": 0}) as service:
        assert {seed: await finding(service, job) for seed, job in jobs.items()} == expected


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_one_process_on_sqlite_that_is_killed_again_and_again_finds_the_same(
    sqlite_url: str, other_sqlite_url: str, tmp_path: Path
) -> None:
    expected, requests = await undisturbed(sqlite_url)
    config, store = tmp_path / "drpo.toml", Store(other_sqlite_url)
    service = Worker("service", ("serve", "--config", str(config)), tmp_path, {"DRPO_JOBS__MAX_RUNNING": "6"})
    finished: Finished = {}
    async with provider() as counters:
        provider_url = str(counters.base_url).rstrip("/")
        write_settings(config, other_sqlite_url, provider_url, lease_seconds=3600.0, backend=BACKEND)
        async with running([service]):
            async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=60) as client:
                jobs = {seed: await post(client, seed) for seed in SEEDS}
            for number in range(1, KILLS + 1):
                await counters.post(f"/hold/{requests * number // (KILLS + 1)}")
                await counters.get("/held", timeout=None)
                await service.kill()
                finished |= await finished_calls(store) | finished
                await counters.post("/release")
                await service.start()
            await until(lambda: all_ended(store))
            assert await service.stop() == 0
        counts = (await counters.get("/counts")).json()
    await assert_unharmed(store, counts, finished)
    await store.close()
    async with open_service(other_sqlite_url, jobs={"max_running": 0}) as again:
        assert {seed: await finding(again, job) for seed, job in jobs.items()} == expected
