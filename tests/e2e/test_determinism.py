"""The same seed finds the same, whatever the store, the speed and the order in which answers come."""

from typing import Any

import pytest

from tests.app.jobs.service import open_service, outcome

SETTINGS = {"seed": 11, "depth": 4, "minibatch_size": 2}


async def found_with(database_url: str, settings: dict[str, Any], **groups: Any) -> dict[str, Any]:
    """All that a job finds on a fresh store."""
    async with open_service(database_url, **groups) as service:
        return await outcome(service, (await service.run(settings=settings))["id"])


@pytest.fixture
async def reference(other_sqlite_url: str) -> dict[str, Any]:
    """What the job finds, undisturbed."""
    found = await found_with(other_sqlite_url, SETTINGS)
    assert found["status"] == "succeeded"
    assert len(found["candidates"]) == 1 + 2 + 4 + 4
    return found


async def test_the_same_seed_finds_the_same_on_any_store(
    database_url: str, reference: dict[str, Any]
) -> None:
    assert await found_with(database_url, SETTINGS) == reference


@pytest.mark.parametrize("concurrency", [1, 3, 200])
async def test_the_order_of_the_answers_changes_nothing(
    sqlite_url: str, reference: dict[str, Any], concurrency: int
) -> None:
    simulated = {"latency_ms": 2.0, "latency_jitter": 1.0}
    backend = {"max_concurrency": concurrency}
    assert await found_with(sqlite_url, SETTINGS, backend=backend, simulated=simulated) == reference


async def test_criteria_that_another_job_has_selected_change_nothing(
    sqlite_url: str, reference: dict[str, Any]
) -> None:
    async with open_service(sqlite_url) as service:
        first = await service.run(settings=SETTINGS, label=None)
        again = await service.run(settings=SETTINGS, label=None)
        assert again["usage"]["by_role"].get("selector") is None
        assert first["result"]["gate"] == again["result"]["gate"] == reference["result"]["gate"]
        assert await service.candidates(again["id"]) == reference["candidates"]


async def test_another_seed_finds_another_tree(sqlite_url: str, reference: dict[str, Any]) -> None:
    other = await found_with(sqlite_url, {**SETTINGS, "seed": 12})
    assert other["status"] == "succeeded"
    assert other["candidates"] != reference["candidates"]
    assert {item["query"]["id"] for item in other["evaluations"]} != {
        item["query"]["id"] for item in reference["evaluations"]
    }


async def test_another_world_finds_another_tree(sqlite_url: str, reference: dict[str, Any]) -> None:
    other = await found_with(sqlite_url, SETTINGS, simulated={"seed": 1})
    assert other["candidates"] != reference["candidates"]


@pytest.mark.parametrize("share", [0.05, 0.1])
async def test_faults_on_the_way_change_nothing_but_the_number_of_requests(
    sqlite_url: str, reference: dict[str, Any], share: float
) -> None:
    faults = dict.fromkeys(("rate_limited", "server_error", "connection_lost", "malformed_response"), share)
    retries = {"first_wait_seconds": 0.001, "max_wait_seconds": 0.001, "max_attempts": 30}
    async with open_service(
        sqlite_url, backend={"retries": retries}, simulated={"faults": faults}
    ) as service:
        job = await service.run(settings=SETTINGS)
        assert await outcome(service, job["id"]) == reference
        by_role = {role: spend["calls"] for role, spend in job["usage"]["by_role"].items()}
        assert by_role == service.backend.requests
        answers = sum(2 * (item["answer"] is not None) for item in reference["evaluations"])
        assert job["usage"]["calls"] > answers + by_role["selector"] // 2
