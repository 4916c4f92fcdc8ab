"""Whole jobs in a simulated world: service, store, search, gate and label, without a network in between."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from app.main import create_app
from app.resources import Resources, open_resources
from app.settings import Settings
from benchmarks.lab import World

_FINISHED = "optimization_finished"
_PATIENCE_SECONDS = 60.0


async def run_job(world: World, request: Mapping[str, object]) -> dict[str, Any]:
    """The job that ``request`` asks for, as the API shows it at its end, on a store of its own.

    Raises:
        RuntimeError: it was refused or did not succeed.
    """
    with TemporaryDirectory() as folder:
        settings = Settings.model_validate(
            {
                "database": {"url": f"sqlite+aiosqlite:///{Path(folder) / 'job.db'}"},
                "backends": {
                    "simulated": {"kind": "simulated", "simulated": world.settings.model_dump(mode="json")}
                },
            }
        )
        async with (
            open_resources(settings) as resources,
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=create_app(resources)), base_url="http://127.0.0.1"
            ) as client,
        ):
            answer = await client.post("/v1/optimizations", json={"target": world.target, **request})
            if answer.status_code != httpx.codes.ACCEPTED:
                raise RuntimeError(f"the job was refused: {answer.text}")
            place = f"/v1/optimizations/{answer.json()['id']}"
            await _ended(resources, answer.json()["id"])
            job: dict[str, Any] = (await client.get(place)).json()
            if job["status"] != "succeeded":
                raise RuntimeError(f"the job {job['status']}: {job['error']}")
            job["candidates"] = (await client.get(f"{place}/candidates")).json()["data"]
            return job


async def _ended(resources: Resources, job: str) -> None:
    seq = 0
    while True:
        for event in await resources.progress.wait_for_events(job, seq, timeout=_PATIENCE_SECONDS):
            seq = event.seq
            if event.type == _FINISHED:
                return
