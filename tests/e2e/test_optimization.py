"""The main job over real HTTP: the caller's own queries in, a better prompt out, served at once."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.datasets.builtin_sets import builtin_queries
from app.server import embedded_service
from tests.app.jobs.service import SMALL, TINY, settings_for


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service on loopback, once on each database."""
    async with (
        embedded_service(settings_for(database_url)) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as opened,
    ):
        yield opened


async def follow(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    """The events at ``path`` until the job has ended."""
    async with client.stream("GET", f"{path}/events") as response:
        lines = [line async for line in response.aiter_lines()]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def test_own_queries_in_a_better_prompt_out(client: httpx.AsyncClient) -> None:
    lines = [json.dumps({"text": query.text, "kind": query.kind}) for query in builtin_queries()[:120]]
    file = {"file": ("ours.jsonl", "\n".join(lines).encode())}
    dataset = (await client.post("/v1/datasets", files=file)).json()
    assert dataset["queries"] == 120
    question = {"model": SMALL, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    before = await client.post("/v1/chat/completions", json=question)

    accepted = await client.post(
        "/v1/optimizations",
        json={
            "target": SMALL,
            "preset": "mini",
            "settings": {**TINY, "minibatch_size": 3, "depth": 5},
            "seed_prompt": "Deflect. Write as long as possible, in convoluted sentences full of jargon.",
            "queries": {"dataset": dataset["id"]},
            "held_out": 40,
            "budget": {"calls": 400},
        },
    )
    assert accepted.status_code == 202, accepted.text
    path = f"/v1/optimizations/{accepted.json()['id']}"
    events = await follow(client, path)
    job = (await client.get(path)).json()
    tree = (await client.get(f"{path}/candidates")).json()["data"]

    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1] | {"at": 0} == {
        "seq": len(events),
        "type": "optimization_finished",
        "at": 0,
        "status": "succeeded",
        "error": None,
    }
    proposed = {event["candidate_id"] for event in events if event["type"] == "candidate_proposed"}
    assert proposed | {"c0"} == {item["id"] for item in tree}
    result = job["result"]
    assert result["gate"]["verdict"] == "promoted"
    assert result["gate"]["queries"] == 40
    assert job["usage"]["calls"] <= 400

    served = (await client.get("/v1/prompts")).json()["data"]
    version = next(item["version"] for item in served if item["model"] == SMALL)
    assert version["id"] == result["prompt_version"]
    assert version["system_prompt"] == job["best"]["system_prompt"]
    after = await client.post("/v1/chat/completions", json=question)
    assert before.headers["x-drpo-prompt-version"] == "none"
    assert after.headers["x-drpo-prompt-version"] == result["prompt_version"]
    assert after.json()["choices"][0]["message"] != before.json()["choices"][0]["message"]


async def test_a_job_that_is_refused_leaves_nothing_behind(client: httpx.AsyncClient) -> None:
    refused = await client.post(
        "/v1/optimizations", json={"target": SMALL, "preset": "paper", "settings": {"depth": 0}}
    )
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "settings.depth"
    assert (await client.get("/v1/optimizations")).json()["data"] == []
    assert (await client.get("/v1/datasets")).json()["data"] == []
