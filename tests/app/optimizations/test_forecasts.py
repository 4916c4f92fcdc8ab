"""What a job will take is said before it starts, and stands beside what it has taken."""

from typing import Any

import pytest
from sqlalchemy import text

from app.llm.simulated.embeddings import EMBEDDER
from optimizer.types import JsonObject
from tests.app.jobs.service import JobService, failure, job, open_service

PRICE: JsonObject = {"input_per_million": 1.0, "output_per_million": 4.0}
RANGES = ("calls", "prompt_tokens", "completion_tokens", "cost")


async def estimate(service: JobService, **changes: Any) -> dict[str, Any]:
    """What a tiny job would take."""
    response = await service.post("/v1/optimizations/estimate", job(**changes))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def assert_ordered(expected: dict[str, Any]) -> None:
    for part in (expected, *expected["by_role"].values()):
        for name in RANGES:
            assert 0 <= part[name]["low"] <= part[name]["expected"] <= part[name]["high"], name


async def test_without_earlier_jobs_the_texts_are_what_is_known(database_url: str) -> None:
    async with open_service(database_url, backend={"price": PRICE}) as service:
        expected = await estimate(service)
        async with service.resources.database.read() as session:
            made = text(
                "SELECT count(*) FROM (SELECT id FROM optimizations UNION SELECT id FROM datasets"
                " UNION SELECT id FROM example_banks) AS made"
            )
            assert await session.scalar(made) == 0
    assert_ordered(expected)
    assert expected["calls"]["expected"] == 60
    assert {role: part["calls"]["expected"] for role, part in expected["by_role"].items()} == {
        "target": 7 + 16,
        "judge": 7 + 16,
        "proposer": 3,
        "selector": 3 + 8,
    }
    assert (expected["jobs_measured"], expected["seconds"], expected["cut_by"]) == (0, None, [])
    assert expected["cost"]["expected"] > 0
    assert not any(part["measured"] for part in expected["by_role"].values())


async def test_earlier_jobs_on_the_same_models_say_it_better(sqlite_url: str) -> None:
    async with open_service(sqlite_url, backend={"price": PRICE}) as service:
        first = await service.run()
        assert first["estimate_before"]["jobs_measured"] == 0
        second = await service.run(settings={"seed": 4})
        replay = await service.post(f"/v1/optimizations/{first['id']}/replay", {})
        assert (await service.finished(replay.json()["id"]))["estimate_before"] is None
        expected = await estimate(service, settings={"seed": 5})
        third = await service.run(settings={"seed": 5})

    assert second["estimate_before"]["jobs_measured"] == 1
    assert third["estimate_before"] == expected
    assert_ordered(expected)
    assert (expected["jobs_measured"], expected["object"]) == (2, "optimization.estimate")
    assert all(part["measured"] for part in expected["by_role"].values())
    assert expected["seconds"]["low"] <= expected["seconds"]["expected"] <= expected["seconds"]["high"]
    for name in ("prompt_tokens", "completion_tokens", "cost"):
        assert 0.5 < third["usage"][name] / expected[name]["expected"] < 1.5
        assert third["usage"][name] < expected[name]["high"]


@pytest.mark.parametrize(
    ("budget", "cut_by", "figure", "most"),
    [
        ({"calls": 40}, ["calls"], "calls", 40),
        ({"tokens": 5_000}, ["tokens"], "prompt_tokens", 5_000),
        ({"cost": 0.001}, ["cost"], "cost", 0.001),
        ({"calls": 1000}, [], "calls", 1000),
    ],
)
async def test_an_estimate_is_within_the_budget_and_says_what_ends_the_search(
    sqlite_url: str, budget: dict[str, float], cut_by: list[str], figure: str, most: float
) -> None:
    async with open_service(sqlite_url, backend={"price": PRICE}) as service:
        expected = await estimate(service, budget=budget)
    assert_ordered(expected)
    assert expected["cut_by"] == cut_by
    assert expected[figure]["expected"] <= most + 1e-6


async def test_calls_are_counted_in_whole_numbers_within_the_budget(service: JobService) -> None:
    for calls in (601, 777):
        counted = (await estimate(service, budget={"calls": calls}))["calls"]
        assert all(number == int(number) <= calls for number in counted.values())


async def test_what_could_not_be_made_cannot_be_estimated(service: JobService) -> None:
    for changes, param in (
        ({"target": "none"}, "target"),
        ({"settings": {"depth": 0}}, "settings.depth"),
        ({"budget": {"calls": 3}}, "budget.calls"),
        ({"queries": {"dataset": "ds_none"}}, "queries.dataset"),
    ):
        response = await service.post("/v1/optimizations/estimate", job(**changes))
        assert failure(response)["param"] == param


async def test_a_stored_query_set_is_measured_too(service: JobService) -> None:
    lines = "\n".join(
        f'"question number {number} about the weather of {number} days"' for number in range(40)
    )
    uploaded = await service.client.post("/v1/datasets", files={"file": ("q.jsonl", lines.encode())})
    expected = await estimate(service, queries={"dataset": uploaded.json()["id"]}, examples=[])
    assert expected["by_role"]["target"]["prompt_tokens"]["expected"] > 0


@pytest.mark.parametrize("batch_size", [64, 5])
async def test_an_estimate_counts_the_requests_for_embeddings_as_far_as_they_are_not_kept(
    sqlite_url: str, batch_size: int
) -> None:
    retrieval = {"kind": "backend", "backend": "simulated", "model": EMBEDDER, "batch_size": batch_size}
    queries = [f"Question {number} about bread?" for number in range(19)]
    examples = [{"query": f"Example {number}?", "answer": "So."} for number in range(12)]
    request: dict[str, Any] = {"queries": queries, "examples": examples, "label": None}
    async with open_service(sqlite_url, backend={"price": PRICE}, retrieval=retrieval) as service:
        expected = await estimate(service, **request)
        without = await estimate(service, **request, settings={"k": 0})
        done = await service.run(**request)
        again = await estimate(service, **request)
    assert_ordered(expected)
    taken, told = done["usage"]["by_role"]["embedder"], expected["by_role"]["embedder"]
    assert told["calls"]["expected"] == taken["calls"] == service.backend.requests["embedder"]
    assert told["calls"]["expected"] >= (2 if batch_size == 64 else 3 + 3)
    assert told["prompt_tokens"]["low"] <= taken["prompt_tokens"] <= told["prompt_tokens"]["high"]
    assert told["cost"]["expected"] > 0
    parts = [part["calls"]["expected"] for part in expected["by_role"].values()]
    assert expected["calls"]["expected"] == sum(parts)
    assert done["estimate_before"]["by_role"]["embedder"] == told
    assert "embedder" not in without["by_role"]
    assert "embedder" not in again["by_role"], "all vectors are kept"
