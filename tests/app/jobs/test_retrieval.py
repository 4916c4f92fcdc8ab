"""Jobs whose examples are found by embeddings, and what is served afterwards."""

import json
from typing import Any

import httpx
import pytest
from typing_extensions import override

from app.llm.simulated.embeddings import EMBEDDER
from optimizer.types import JsonObject
from tests.app.jobs.service import SMALL, JobService, open_service

BY_MEANING: JsonObject = {"kind": "backend", "backend": "simulated", "model": EMBEDDER}
FOUND_BY = "x-drpo-retrieval"


async def chat(service: JobService, text: str, **drpo: object) -> httpx.Response:
    body = {"model": SMALL, "messages": [{"role": "user", "content": text}], "drpo": drpo}
    return await service.post("/v1/chat/completions", body)


async def version_of(service: JobService, job: dict[str, Any]) -> dict[str, Any]:
    return await service.get(f"/v1/prompts/{SMALL}/versions/{job['result']['prompt_version']}")


class Recording(httpx.AsyncBaseTransport):
    """Keeps what is sent."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.sent: list[dict[str, Any]] = []

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(json.loads(await request.aread()))
        return await self._inner.handle_async_request(request)


def record(service: JobService) -> Recording:
    recording = Recording(service.backend._inner)
    service.backend._inner = recording
    return recording


async def test_vectors_are_asked_for_in_few_calls_that_count_and_never_twice(sqlite_url: str) -> None:
    async with open_service(sqlite_url, retrieval=BY_MEANING) as service:
        first = await service.run(label=None)
        assert first["status"] == "succeeded", first["error"]
        spent = first["usage"]["by_role"]["embedder"]
        assert spent["calls"] == service.backend.requests["embedder"] == 2  # the bank, and all queries
        assert spent["prompt_tokens"] > 0
        assert spent["completion_tokens"] == 0
        again = await service.run(label=None)
        assert "embedder" not in again["usage"]["by_role"]
        assert again["result"]["best_candidate_id"] == first["result"]["best_candidate_id"]


async def test_a_version_is_served_with_what_it_was_tuned_with(sqlite_url: str) -> None:
    async with open_service(sqlite_url, retrieval=BY_MEANING) as service:
        version = await version_of(service, await service.run())
        assert version["retrieval"] == BY_MEANING
        await chat(service, "How do I bake bread?", prompt_version=version["id"])
    async with open_service(sqlite_url) as service:  # the settings say by words now
        answer = await chat(service, "How do I bake bread?", prompt_version=version["id"])
        assert (answer.status_code, answer.headers[FOUND_BY]) == (200, "embeddings")
        by_words = await version_of(service, await service.run())
        assert by_words["retrieval"] is None
        assert by_words["id"] != version["id"]
        answer = await chat(service, "How do I bake bread?", prompt_version=by_words["id"])
        assert answer.headers[FOUND_BY] == "lexical"
        assert FOUND_BY not in (await chat(service, "How do I bake bread?", align=False)).headers


@pytest.mark.parametrize("retrieval", [BY_MEANING, {"kind": "lexical"}])
async def test_search_and_serving_send_the_same_messages(sqlite_url: str, retrieval: JsonObject) -> None:
    async with open_service(sqlite_url, retrieval=retrieval) as service:
        recording = record(service)
        found = await service.run(settings={"k": 2})
        version = await version_of(service, found)
        searched = [
            body["messages"]
            for body in recording.sent
            if body.get("model") == SMALL and body["messages"][0]["content"] == version["system_prompt"]
        ]
        assert len(searched) >= 8
        recording.sent.clear()
        for messages in searched:
            await chat(service, messages[-1]["content"], prompt_version=version["id"])
        served = [body["messages"] for body in recording.sent if body.get("model") == SMALL]
        assert served == searched
        assert {len(messages) for messages in searched} == {1 + 2 * 2 + 1}


async def test_an_embedding_model_that_is_away_fails_a_job_but_no_answer(sqlite_url: str) -> None:
    async with open_service(sqlite_url, retrieval=BY_MEANING) as service:
        version = await version_of(service, await service.run())
    away: JsonObject = {"kind": "backend", "backend": "simulated", "model": "no-such-model"}
    async with open_service(sqlite_url, retrieval=away) as service:
        failed = await service.run()
        assert failed["status"] == "failed"
        assert failed["error"]["code"] == "backend_misconfigured"
        assert "no-such-model" in failed["error"]["message"]
    async with open_service(
        sqlite_url, backend={"retries": {"max_attempts": 1}}, simulated={"seed": 0}
    ) as service:

        class NoVectors(Recording):
            @override
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                if request.url.path.endswith("/embeddings"):
                    raise httpx.ConnectError("refused", request=request)
                return await super().handle_async_request(request)

        service.backend._inner = NoVectors(service.backend._inner)
        answer = await chat(service, "How do I bake bread?", prompt_version=version["id"])
        assert (answer.status_code, answer.headers[FOUND_BY]) == (200, "lexical-fallback")


async def test_a_budget_that_ends_before_the_vectors_ends_the_job_as_budgets_do(sqlite_url: str) -> None:
    async with open_service(sqlite_url, retrieval=BY_MEANING) as service:
        ended = await service.run(budget={"tokens": 200})
        assert ended["status"] == "succeeded", ended["error"]
        assert ended["result"]["stop_reason"] == "budget"
        assert ended["usage"]["prompt_tokens"] + ended["usage"]["completion_tokens"] <= 200


async def test_a_query_that_the_embedding_model_refuses_is_unscored(sqlite_url: str) -> None:
    class Refusing(Recording):
        @override
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if any("forbidden" in text for text in json.loads(await request.aread()).get("input", ())):
                return httpx.Response(400, json={"error": {"message": "flagged"}}, request=request)
            return await super().handle_async_request(request)

    async with open_service(sqlite_url, retrieval=BY_MEANING) as service:
        service.backend._inner = Refusing(service.backend._inner)
        queries = [f"What is a {word}?" for word in ("comet", "moon", "ring", "star", "forbidden", "sea")]
        found = await service.run(queries=queries, held_out=0)
        assert found["status"] == "succeeded", found["error"]
        evaluations = await service.evaluations(found["id"])
        refused = [item for item in evaluations if item["reward"] is None]
        assert {item["query"]["text"] for item in refused} <= {"What is a forbidden?"}
        assert all("embedder refused" in item["unscored_reason"] for item in refused)
