"""Twelve small jobs, and what they find undisturbed."""

from typing import Any

import httpx

from app.datasets.builtin_sets import builtin_queries
from tests.app.jobs.service import JobService, job, open_service, outcome

SEEDS = tuple(range(1, 13))
QUERIES = 12


def request(seed: int) -> dict[str, Any]:
    """The job with this seed. Its queries are its own, or it could use what another has selected for them."""
    queries = [f"{query.text} It is for guest number {seed}." for query in builtin_queries()[:QUERIES]]
    return job(label=None, queries=queries, settings={"seed": seed}, held_out=4)


async def undisturbed(sqlite_url: str) -> tuple[dict[int, dict[str, Any]], int]:
    """What each job finds, by its seed, and how many requests all of them take."""
    async with open_service(sqlite_url, jobs={"max_running": len(SEEDS)}) as service:
        jobs = {seed: await create(service, seed) for seed in SEEDS}
        for job_id in jobs.values():
            await service.wait_for(job_id)
        found = {seed: await finding(service, job_id) for seed, job_id in jobs.items()}
        return found, service.backend.requests.total()


async def create(service: JobService, seed: int) -> str:
    """Queue the job with this seed; its id."""
    return await post(service.client, seed)


async def finding(service: JobService, job_id: str) -> dict[str, Any]:
    """All that a job has found, without ids."""
    found = await outcome(service, job_id)
    result = dict(found["result"] or {})
    result.pop("prompt_version", None)
    return {**found, "result": result}


async def post(client: httpx.AsyncClient, seed: int) -> str:
    """Queue the job with this seed; its id."""
    response = await client.post("/v1/optimizations", json=request(seed))
    assert response.status_code == 202, response.text
    return str(response.json()["id"])
