"""vLLM is killed while a job runs: the job waits, goes on when it is back, and repeats no finished call."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from optimizer.types import JsonObject, ModelRole
from tests.app.jobs.service import JobService, outcome
from tests.e2e.test_kill import ledger
from tests.vllm.server import MODEL, VllmServer, running
from tests.vllm.service import service_on
from tests.vllm.watched import watch

IMPATIENT: JsonObject = {"retries": {"max_attempts": 2, "first_wait_seconds": 0.05}}
JOBS = {"probe_seconds": 0.5, "longest_probe_seconds": 2.0}
JOB = {"target": MODEL, "settings": {"target": {"max_tokens": 60}}}
BEFORE = 12
"""Answers before the kill: the search is not over."""
IN_FLIGHT = 2


@pytest.fixture
def mortal() -> Iterator[VllmServer]:
    """A server that may be killed."""
    with running(adapter=False) as server:
        yield server


async def answered_by(server: VllmServer) -> int:
    """Requests that the server has answered since it was started, by its own count."""
    async with httpx.AsyncClient(trust_env=False) as client:
        lines = (await client.get(f"{server.root}/metrics")).text.splitlines()
    return int(
        sum(
            float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:request_success_total{")
        )
    )


async def found_by(service: JobService, job: str) -> dict[str, Any]:
    """What the job found, without what depends on when it was asked: the server's cache, and our ids."""
    found = await outcome(service, job)
    result = {
        name: value
        for name, value in found["result"].items()
        if name not in {"prompt_cache", "prompt_version"}
    }
    return {**found, "result": result}


async def test_a_job_waits_for_a_killed_server_and_repeats_no_finished_call(
    mortal: VllmServer, sqlite_url: str, other_sqlite_url: str
) -> None:
    async with service_on(mortal, sqlite_url, backend=IMPATIENT, jobs=JOBS) as service:
        await service.resources.models.capabilities(ModelRole.TARGET, MODEL)
        watched = watch(service.resources, "vllm")
        job = await service.start(**JOB)
        await watched.until(lambda: len(watched.answered) >= BEFORE and watched.in_flight >= IN_FLIGHT)
        mortal.kill()
        begun = set(watched.sent)
        paused = await service.wait_for(job, "optimization_paused")
        assert (paused.body["cause"], paused.body["backend"]) == ("backend", "vllm")
        assert "the job goes on by itself" in str(paused.body["message"])
        found = await service.get(f"/v1/optimizations/{job}")
        assert (found["status"], found["paused"]["backend"]) == ("paused", "vllm")
        finished, tried = set(watched.answered), len(watched.sent)
        broken = len(begun - finished)
        assert len(finished) >= BEFORE
        assert broken >= IN_FLIGHT
        done = await ledger(service.resources.database)
        # it may be that they were worked on, and whatever else still reached the dying server
        lost = found["usage"]["calls"] - done["done"]
        assert broken <= lost <= len(watched.lost)

        mortal.begin()
        found = await service.finished(job)
        assert found["status"] == "succeeded", found["error"]
        assert not finished & set(watched.sent[tried:])
        asked = len(watched.answered) - len(finished)
        assert await answered_by(mortal) == asked
        # what was not finished, and the probe that has found it back
        assert found["usage"]["by_role"]["target"]["calls"] == len(finished) + lost + asked - 1
        done = await ledger(service.resources.database)
        assert list(done) == ["done"]
        assert found["usage"]["calls"] == done["done"] + lost
        interrupted = await found_by(service, job)
    async with service_on(mortal, other_sqlite_url) as undisturbed:
        job = (await undisturbed.run(**JOB))["id"]
        assert interrupted == await found_by(undisturbed, job)
