"""A service that is killed while it refines an example bank goes on, and finds what it would have found."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from store.connections import Database
from tests.app.example_banks.banks import PATH, examples, refine
from tests.app.jobs.service import open_service
from tests.e2e.test_kill import arrived, end_of, ledger, provider, service, write_settings

SETTINGS = {"beam_width": 2, "rewrites": 2, "rounds": 2, "patience": 9}
KILLS = (3, 12, 25)
"""Requests of the job at which the service is killed: in the round of first answers, and in later ones."""


async def start(client: httpx.AsyncClient) -> str:
    """Queue a small bank; its path."""
    response = await client.post(PATH, json={"examples": examples(), "settings": SETTINGS})
    assert response.status_code == 202, response.text
    return f"{PATH}/{response.json()['id']}"


def found_in(bank: dict[str, Any]) -> dict[str, Any]:
    """What the job found, without what differs between stores."""
    return {name: bank[name] for name in ("status", "end", "bank_id", "examples", "progress")}


@pytest.mark.slow
async def test_a_killed_service_goes_on_with_a_bank_and_repeats_no_finished_call(
    database_url: str, database: Database, tmp_path: Path, other_sqlite_url: str
) -> None:
    async with open_service(other_sqlite_url) as undisturbed:
        expected = await refine(undisturbed, preset="default", settings=SETTINGS)
        calls = sum(undisturbed.backend.requests.values())
    assert calls > max(KILLS)
    config, path = tmp_path / "drpo.toml", ""
    begun = 0
    async with provider() as counters:
        write_settings(config, database_url, str(counters.base_url).rstrip("/"))
        for number in KILLS:
            before, done = await arrived(counters), (await ledger(database)).get("done", 0)
            await counters.post(f"/hold/{before + number - done}")
            async with service(config) as (process, client):
                path = path or await start(client)
                await counters.get("/held")
                await process.kill()
            found = await ledger(database)
            assert found["open"] >= 1
            begun += found["open"]
            await counters.post("/release")

        before, done = await arrived(counters), (await ledger(database))["done"]
        async with service(config) as (process, client):
            ids = await end_of(client, path)
            bank = (await client.get(path)).json()
            assert await process.terminate() == 0

        assert ids == list(range(1, len(ids) + 1))
        assert found_in(bank) == found_in(expected)
        assert await arrived(counters) - before == calls - done  # nothing that was finished
        assert await ledger(database) == {"done": calls}
        assert bank["usage"]["unknown_calls"] == begun
