"""Over HTTP, between processes: a pause, a kill while it lasts, and a stream that goes on over both."""

import json
from pathlib import Path
from typing import Any

import httpx

from store.connections import Database
from tests.app.jobs.service import job
from tests.e2e.test_kill import CALLS, ledger, provider, service, write_settings

PATH = "/v1/optimizations"


async def types_until(
    client: httpx.AsyncClient, path: str, last: str, *, after: int = 0
) -> tuple[list[str], int]:
    """Types of the streamed events up to the first ``last``, and its number."""
    seen: list[str] = []
    seq = after
    async with client.stream("GET", path, headers={"last-event-id": str(after)}) as stream:
        kind = ""
        async for line in stream.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                seq = int(value)
            elif name == "event":
                kind = value
            elif name == "data":
                json.loads(value)
                seen.append(kind)
                if kind == last:
                    break
    return seen, seq


async def test_a_paused_job_survives_a_kill_and_its_stream_goes_on(database_url: str, tmp_path: Path) -> None:
    config = tmp_path / "drpo.toml"
    async with provider() as counter:
        write_settings(config, database_url, str(counter.base_url).rstrip("/"))
        await counter.post("/hold/12")
        headers = {"idempotency-key": "one"}
        async with service(config) as (process, client):
            made = await client.post(PATH, json=job(), headers=headers)
            path = f"{PATH}/{made.json()['id']}"
            await counter.get("/held")
            assert (await client.post(f"{path}/pause")).json()["pause_requested"]
            seen, seq = await types_until(client, f"{path}/events", "optimization_paused")
            assert seen[0] == "optimization_started"
            refused = await client.delete(path)
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
            await process.kill()
        await counter.post("/release")
        async with service(config) as (_, client):
            again = await client.post(PATH, json=job(), headers=headers)
            assert (again.status_code, again.headers["x-drpo-idempotent-replay"]) == (200, "true")
            assert again.json()["id"] == made.json()["id"]
            shown: dict[str, Any] = (await client.get(path)).json()
            assert (shown["status"], shown["paused"]["cause"]) == ("paused", "requested")
            assert (await client.post(f"{path}/resume")).status_code == 200
            rest, _ = await types_until(client, f"{path}/events", "optimization_finished", after=seq)
            assert rest[0] == "optimization_resumed"
            assert (await client.get(path)).json()["status"] == "succeeded"
            database = Database(database_url)
            try:
                found = await ledger(database)
            finally:
                await database.close()
            # what was under way at the pause was given up and asked for again; nothing else was
            assert found["done"] == CALLS
            arrived = (await counter.get("/counts")).json()["arrived"]
            assert CALLS <= arrived <= CALLS + 8
