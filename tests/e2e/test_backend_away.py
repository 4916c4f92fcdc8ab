"""A backend that is killed while a job runs: the job pauses, says why, and goes on when it is back."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from store.connections import Database
from tests.e2e.processes import Process, free_port, started
from tests.e2e.test_kill import CALLS, arrived, compare, end_of, ledger, service, start, write_settings

IMPATIENT = """
[backends.simulated.retries]
max_attempts = 2
first_wait_seconds = 0.05
"""
KILLED_AT = 25
"""In the gate, whose calls depend on none before them."""


@asynccontextmanager
async def provider_on(port: int) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    """The provider on a port, and a client of its counters."""
    async with (
        started("-m", "tests.e2e.provider", str(port), port=port, ready_path="/counts") as process,
        httpx.AsyncClient(base_url=process.url, trust_env=False, timeout=60) as client,
    ):
        yield process, client


async def first_event(client: httpx.AsyncClient, path: str, event_type: str) -> dict[str, Any]:
    """What the first event of this type says."""
    async with client.stream("GET", f"{path}/events") as response:
        seen = False
        async for line in response.aiter_lines():
            seen = seen or line == f"event: {event_type}"
            if seen and line.startswith("data: "):
                found: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return found
    raise AssertionError(f"the job has ended without {event_type}")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_job_waits_for_its_backend_and_repeats_no_finished_call(
    database_url: str, database: Database, tmp_path: Path, other_sqlite_url: str
) -> None:
    config, port = tmp_path / "drpo.toml", free_port()
    write_settings(config, database_url, f"http://127.0.0.1:{port}")
    text = config.read_text(encoding="utf-8").replace("[jobs]", "[jobs]\nprobe_seconds = 0.2")
    config.write_text(text + IMPATIENT, encoding="utf-8")
    async with service(config) as (process, client):
        async with provider_on(port) as (backend, counters):
            await counters.post(f"/hold/{KILLED_AT}")
            path = await start(client)
            await counters.get("/held")
            await backend.kill()
        event = await first_event(client, path, "optimization_paused")
        assert (event["cause"], event["backend"]) == ("backend", "simulated")
        assert "the job goes on by itself" in event["message"]
        assert (await client.get(path)).json()["status"] == "paused"
        done = (await ledger(database))["done"]
        assert 0 < done < CALLS
        async with provider_on(port) as (_, counters):
            ids = await end_of(client, path)
            found = (await client.get(path)).json()
            # nothing that was finished, and the probe that has found it back
            assert await arrived(counters) == CALLS - done + 1
        assert await process.terminate() == 0
    assert ids == list(range(1, len(ids) + 1))
    assert found["status"] == "succeeded"
    assert await ledger(database) == {"done": CALLS}
    await compare(database_url, other_sqlite_url, path.rpartition("/")[2])
