"""A job ends well at any cap: never over it, with the best so far, and all that was paid for kept."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from optimizer.types import JsonObject
from tests.app.jobs.service import JobService, open_service

QUICK: JsonObject = {"first_wait_seconds": 0.001, "max_wait_seconds": 0.002, "max_attempts": 20}
FAULTS: JsonObject = {"rate_limited": 0.1, "server_error": 0.1, "connection_lost": 0.05}
PRICE: JsonObject = {"input_per_million": 1.0, "output_per_million": 4.0}
LEAST = 15
"""Calls of the smallest budget that is accepted for a tiny job with eight held-out queries."""

caps = st.one_of(
    st.fixed_dictionaries({"calls": st.integers(LEAST, 160)}),
    st.fixed_dictionaries({"tokens": st.integers(1, 150_000)}),
    st.fixed_dictionaries({"cost": st.floats(0.0001, 0.4)}),
)


async def judged_calls(service: JobService, job: str) -> int:
    """Answers of the judge that were paid for, repairs left out."""
    rows = text(
        "SELECT count(*) FROM model_calls WHERE optimization_id = :of AND role = 'judge' AND status = 'done'"
    )
    async with service.resources.database.read() as session:
        return int(await session.scalar(rows, {"of": job}) or 0)


async def check(service: JobService, budget: dict[str, Any]) -> dict[str, Any]:
    """Run a job with a search that would go on for long under ``budget``."""
    service.backend.requests.clear()
    job = await service.run(budget=budget, settings={"depth": 30})
    usage = job["usage"]
    assert job["status"] == "succeeded", job["error"]
    assert service.backend.requests.total() == usage["calls"]
    assert usage["calls"] <= budget.get("calls", usage["calls"])
    assert usage["prompt_tokens"] + usage["completion_tokens"] <= budget.get("tokens", 10**9)
    assert usage["cost"] <= budget.get("cost", 10**9) + 1e-9
    kept = [item for item in await service.evaluations(job["id"]) if item["reward"] is not None]
    assert len(kept) >= await judged_calls(service, job["id"]), "a judgement was paid for and is not there"
    assert job["best"] is not None or job["result"]["best_reward"] is None
    return job


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(budget=caps, faulty=st.booleans())
async def test_a_job_ends_well_at_any_cap(sqlite_url: str, budget: dict[str, Any], faulty: bool) -> None:
    backend: JsonObject = {"retries": QUICK, "price": PRICE}
    simulated: JsonObject = {"faults": FAULTS} if faulty else {}
    async with open_service(sqlite_url, backend=backend, simulated=simulated) as service:
        await check(service, budget)


@pytest.mark.parametrize(
    "budget", [{"calls": 120}, {"tokens": 110_000}, {"cost": 0.25}, {"calls": 140, "tokens": 130_000}]
)
async def test_the_comparison_gets_its_share_of_every_limit(sqlite_url: str, budget: dict[str, Any]) -> None:
    async with open_service(sqlite_url, backend={"price": PRICE}) as service:
        job = await check(service, budget)
    gate = job["result"]["gate"]
    assert job["result"]["stop_reason"] == "budget"
    assert job["result"]["rounds"] >= 2
    assert gate["queries"] == 8
    assert gate["low"] is not None
