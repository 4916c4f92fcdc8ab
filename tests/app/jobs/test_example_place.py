"""A job asks its target with the examples where the target has them when it serves."""

import json
from typing import Any

import pytest

from tests.app.jobs.service import SMALL, JobService, open_service


def served_with(place: str) -> dict[str, Any]:
    """The target's settings."""
    return {SMALL: {"backend": "simulated", "model": SMALL, "alignment": {"examples": place}}}


def asked_of_target(service: JobService) -> list[list[dict[str, str]]]:
    """The messages of each request that the target will get."""
    asked: list[list[dict[str, str]]] = []
    inner = service.backend._inner
    original = inner.handle_async_request

    async def listen(request: Any) -> Any:
        body = json.loads(await request.aread())
        if body["model"] == SMALL:
            asked.append(body["messages"])
        return await original(request)

    inner.handle_async_request = listen  # type: ignore[method-assign]
    return asked


def head(messages: list[dict[str, str]]) -> list[str]:
    """Roles up to the question, and how the system message begins and ends."""
    system = messages[0]["content"]
    return [
        *(message["role"] for message in messages),
        "examples first" if system.startswith("# Query:\n") else "instructions first",
        "examples last" if system.rpartition("\n# ")[2].startswith("Answer:") else "instructions last",
    ]


@pytest.mark.parametrize(
    ("place", "version", "expected"),
    [
        (
            "first",
            1,
            ["system", "user", "assistant", "user", "instructions first", "instructions last"],
        ),
        ("system", 3, ["system", "user", "instructions first", "examples last"]),
        ("system_first", 3, ["system", "user", "examples first", "instructions last"]),
    ],
)
async def test_a_job_and_the_service_ask_alike(
    sqlite_url: str, place: str, version: int, expected: list[str]
) -> None:
    async with open_service(sqlite_url, targets=served_with(place)) as service:
        searched = asked_of_target(service)
        found = await service.run_to_promotion()
        assert found["status"] == "succeeded", found["error"]
        assert await service.label() is not None
        assert {tuple(head(messages)) for messages in searched} == {tuple(expected)}
        record = await service.resources.optimizations.get(found["id"])
        assert record.spec_version == version

        asked = searched[-1][-1]["content"]
        version_id = await service.label()
        job_sent = {json.dumps(messages) for messages in searched}
        searched.clear()
        body = {"model": SMALL, "messages": [{"role": "user", "content": asked}]}
        response = await service.post(
            "/v1/chat/completions", {**body, "drpo": {"prompt_version": version_id}}
        )
        assert response.status_code == 200, response.text
        assert json.dumps(searched[0]) in job_sent, "the service asks what the gate has asked"


async def test_where_examples_stand_is_kept_in_replays(sqlite_url: str) -> None:
    """A replay of recorded answers, after the target's setting has changed."""
    async with open_service(sqlite_url, targets=served_with("system_first")) as service:
        found = await service.run()
    async with open_service(sqlite_url, targets=served_with("first")) as service:
        response = await service.post(f"/v1/optimizations/{found['id']}/replay", {})
        assert response.status_code == 202, response.text
        again = await service.finished(response.json()["id"])
        assert again["status"] == "succeeded", again["error"]
        assert again["result"]["replay"]["complete"] is True
        assert again["result"]["best_reward"] == found["result"]["best_reward"]
