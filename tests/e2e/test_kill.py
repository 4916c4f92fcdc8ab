"""A service that is killed at any point goes on where it was, and asks for nothing a second time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from store.connections import Database
from tests.app.chat.serving import NOTHING_TO_PROBE
from tests.app.jobs.service import job, open_service, outcome
from tests.e2e.processes import Process, free_port, started

CALLS = 3 + 6 + 11 + 40
KILLS = (2, 9, 24, 45)
"""Requests of the job at which the service is killed: in each round, and in the gate."""


@asynccontextmanager
async def provider(latency_ms: float = 0.0) -> AsyncIterator[httpx.AsyncClient]:
    """The provider's process, through a client of its counters."""
    port = free_port()
    arguments = ("-m", "tests.e2e.provider", str(port), str(latency_ms))
    async with (
        started(*arguments, port=port, ready_path="/counts") as process,
        httpx.AsyncClient(base_url=process.url, trust_env=False, timeout=60) as client,
    ):
        yield client


def write_settings(
    path: Path, database_url: str, provider_url: str, *, lease_seconds: float = 1.0, backend: str = ""
) -> None:
    """The configuration of a service on that provider. Its backend has the simulated one's name.

    Args:
        path: where to write it.
        database_url: the store.
        provider_url: the provider.
        lease_seconds: how long a silent worker keeps a job.
        backend: further lines of the backend's table.
    """
    role = '{ backend = "simulated", model = "simulated-critic" }'
    capabilities = "\n".join(
        f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for name, value in NOTHING_TO_PROBE.items()
    )
    path.write_text(
        f"""
[database]
url = "{database_url}"

[backends.simulated]
kind = "openai"
base_url = "{provider_url}/v1"
{backend}

[backends.simulated.capabilities]
{capabilities}

[targets.simulated-small]
backend = "simulated"
model = "simulated-small"

[roles]
proposer = {role}
selector = {role}
judge = {role}

[jobs]
lease_seconds = {lease_seconds}
poll_seconds = 0.2

[logging]
level = "WARNING"
""",
        encoding="utf-8",
    )


@asynccontextmanager
async def service(config: Path) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    """``drpo serve`` as a process of its own, and a client of it."""
    port = free_port()
    arguments = ("-m", "app.cli", "serve", "--config", str(config), "--port", str(port))
    async with (
        started(*arguments, port=port, ready_path="/livez") as process,
        httpx.AsyncClient(base_url=process.url, trust_env=False, timeout=60) as client,
    ):
        yield process, client


async def ledger(database: Database) -> dict[str, int]:
    """Rows of the call ledger by status."""
    async with database.read() as session:
        rows = await session.execute(text("SELECT status, count(*) FROM model_calls GROUP BY status"))
        return {str(status): int(count) for status, count in rows}


async def end_of(client: httpx.AsyncClient, path: str) -> list[int]:
    """Follow the events at ``path`` to their end; their ids."""
    async with client.stream("GET", f"{path}/events") as response:
        lines = [line async for line in response.aiter_lines()]
    return [int(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]


async def arrived(counters: httpx.AsyncClient) -> int:
    """Requests that the provider got."""
    return int((await counters.get("/counts")).json()["arrived"])


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_killed_service_goes_on_and_repeats_no_finished_call(
    database_url: str, database: Database, tmp_path: Path, other_sqlite_url: str
) -> None:
    config, path = tmp_path / "drpo.toml", ""
    begun = repeated = 0
    async with provider() as counters:
        write_settings(config, database_url, str(counters.base_url).rstrip("/"))
        for number in KILLS:
            before = await arrived(counters)
            done_before = (await ledger(database)).get("done", 0)
            await counters.post(f"/hold/{before + number - done_before}")
            async with service(config) as (process, client):
                path = path or await start(client)
                await counters.get("/held")
                await process.kill()
            found = await ledger(database)
            assert found["open"] >= 1
            begun += found["open"]
            repeated += await arrived(counters) - before - (found.get("done", 0) - done_before)
            await counters.post("/release")

        before, done = await arrived(counters), (await ledger(database))["done"]
        assert done >= 3 + 6 + 11  # the last kill was in the gate, which begins when the search is over
        async with service(config) as (process, client):
            ids = await end_of(client, path)
            found = (await client.get(path)).json()
            assert await process.terminate() == 0

        assert ids == list(range(1, len(ids) + 1))
        assert found["status"] == "succeeded"
        assert await arrived(counters) - before == CALLS - done  # nothing that was finished
        assert await arrived(counters) == CALLS + repeated <= CALLS + begun
        assert await ledger(database) == {"done": CALLS}
        assert found["usage"]["unknown_calls"] == begun
        assert found["usage"]["calls"] == CALLS + begun
    await compare(database_url, other_sqlite_url, path.rpartition("/")[2])


async def start(client: httpx.AsyncClient) -> str:
    """Queue a tiny job; its path."""
    response = await client.post("/v1/optimizations", json=job())
    assert response.status_code == 202, response.text
    return f"/v1/optimizations/{response.json()['id']}"


async def compare(database_url: str, other_sqlite_url: str, killed: str) -> None:
    """What the killed service found has to be what an undisturbed one finds."""
    async with open_service(database_url, jobs={"max_running": 0}) as again:
        after_kills = await outcome(again, killed)
    async with open_service(other_sqlite_url) as undisturbed:
        assert after_kills == await outcome(undisturbed, (await undisturbed.run())["id"])
