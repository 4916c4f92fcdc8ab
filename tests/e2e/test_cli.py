"""The command line as its users run it."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from filelock import FileLock

from store.connections import Database
from store.records.optimizations import OptimizationStatus
from store.repositories.optimizations import OptimizationRepository
from tests.e2e.command import Command, drpo, run

MODEL = "simulated-small"
LONG = ("optimize", MODEL, "--preset", "paper")
SLOW = {"DRPO_BACKENDS__SIMULATED__SIMULATED__LATENCY_MS": "100"}
SMALL = (
    "optimize",
    MODEL,
    "--preset",
    "mini",
    "--set",
    "depth=3",
    "--set",
    "minibatch_size=2",
    "--held-out",
    "8",
)

pytestmark = pytest.mark.slow


@asynccontextmanager
async def service(folder: Path, **environment: str) -> AsyncIterator[tuple[Command, httpx.AsyncClient]]:
    """``drpo serve`` on a free port, and a client for it."""
    async with drpo("serve", "--port", "0", folder=folder, **environment) as serving:
        line = await serving.until("drpo serves ")
        url = line.split()[2].removesuffix("/v1;")
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            yield serving, client


def is_free(folder: Path) -> bool:
    """Whether no process holds the store any more."""
    with FileLock(folder / "drpo.db.lock", blocking=False) as lock:
        return lock.is_locked


async def test_one_service_serves_a_file_until_it_is_told_to_stop(tmp_path: Path) -> None:
    async with service(tmp_path, DRPO_JOBS__MAX_RUNNING="0") as (serving, client):
        assert (await client.get("/livez")).json()["service"] == "drpo"
        second = await run("serve", "--port", "0", folder=tmp_path)
        assert (await client.get("/readyz")).status_code == 200
        job = (await client.post("/v1/optimizations", json={"target": MODEL, "preset": "mini"})).json()
        # who only listens to a job that waits must not hold up the end
        async with client.stream("GET", f"/v1/optimizations/{job['id']}/events") as events:
            assert events.status_code == 200
            serving.send(signal.SIGTERM)
            ended = await serving.ended()
    assert (second.code, second.out, second.err.count("\n")) == (1, "", 1)
    assert second.err.startswith("drpo: another process serves the database file")
    assert "--url" in second.err
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert "/v1/optimizations" in {line.get("route") for line in lines}
    assert "Traceback" not in ended.err + ended.out
    assert is_free(tmp_path)


async def test_jobs_run_and_are_cancelled_on_a_service_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with service(tmp_path, **SLOW) as (serving, client):
        url = str(client.base_url)
        whole = await run(*SMALL, "--json", "--url", url, folder=elsewhere)
        job = json.loads(whole.out)
        assert (await client.get(f"/v1/optimizations/{job['id']}")).json() == job
        async with drpo(*LONG, "--json", "--url", f"{url}/v1", folder=elsewhere) as searching:
            await searching.until("round 0 of")
            searching.send(signal.SIGINT)
            interrupted = await searching.ended()
        cancelled = (await client.get("/v1/optimizations")).json()["data"][0]
        serving.send(signal.SIGINT)
        ended = await serving.ended()
    assert (whole.code, job["status"], job["settings"]["depth"]) == (0, "succeeded", 3)
    assert interrupted.code == 130
    assert json.loads(interrupted.out) == cancelled
    assert cancelled["status"] == "cancelled"
    assert (ended.code, "Traceback" in ended.err + interrupted.err) == (0, False)
    assert list(elsewhere.iterdir()) == []


async def test_ctrl_c_cancels_a_job_of_the_command_s_own_service(tmp_path: Path) -> None:
    async with drpo(*LONG, folder=tmp_path, **SLOW) as searching:
        await searching.until_printed("round 0 of")
        searching.send(signal.SIGINT)
        ended = await searching.ended()
    assert (ended.code, ended.err) == (130, "")
    assert "cancelled after" in ended.out
    assert is_free(tmp_path)
    assert await statuses(tmp_path) == [OptimizationStatus.CANCELLED]


async def statuses(folder: Path) -> list[OptimizationStatus]:
    """How the jobs in the store have ended."""
    database = Database(f"sqlite:///{folder / 'drpo.db'}")
    try:
        found = await OptimizationRepository(database).list(after=None, limit=10, status=None)
        return [record.status for record in found]
    finally:
        await database.close()
