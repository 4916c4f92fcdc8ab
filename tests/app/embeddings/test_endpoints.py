"""Embeddings on a real application and HTTP backend."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.outcomes import Outcome
from optimizer.types import JsonObject, Usage
from tests.app.chat.serving import MODEL, Service, open_service
from tests.fakes.openai_server import Answer, error

PATH = "/v1/embeddings"
NAME = "org/embedder"
VECTORS: JsonObject = {
    "object": "list",
    "model": "vendor-embedder-1",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5]}],
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[Service]:
    embedders = {NAME: {"backend": "upstream", "model": "vendor-embedder-1"}}
    async with open_service(sqlite_url, embedders=embedders) as opened:
        yield opened


async def embed(service: Service, **fields: object) -> httpx.Response:
    return await service.client.post(PATH, json={"model": NAME, "input": "a", **fields})


@pytest.mark.parametrize("given", ["a", ["a", "b"], [1, 2], [[1], [2, 3]]])
async def test_texts_and_tokens_pass_and_vectors_come_back(service: Service, given: object) -> None:
    outcomes: list[Outcome] = []
    service.resources.outcomes.listen(outcomes.append)
    service.fake.push(Answer(body=VECTORS))
    response = await embed(service, input=given, dimensions=2, encoding_format="float", odd=[1])
    assert response.status_code == 200
    assert response.json() == {**VECTORS, "model": NAME}
    assert response.headers["x-drpo-upstream-model"] == "vendor-embedder-1"
    assert service.sent.path == PATH
    assert service.sent.body == {
        "model": "vendor-embedder-1",
        "input": given,
        "dimensions": 2,
        "encoding_format": "float",
        "odd": [1],
    }
    assert [(told.endpoint, told.usage) for told in outcomes] == [
        (PATH, Usage(prompt_tokens=5, completion_tokens=0))
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a", None]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"model": ""}, "model"),
        ({"stream": True}, "stream"),
    ],
)
async def test_what_cannot_be_used_is_named(service: Service, fields: dict[str, object], param: str) -> None:
    response = await embed(service, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("name", ["nobody", MODEL])
async def test_a_model_that_is_no_embedder_is_not_found(service: Service, name: str) -> None:
    response = await embed(service, model=name)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    assert NAME in response.json()["error"]["message"]


async def test_failures_have_their_status(service: Service) -> None:
    service.fake.push(error(429, retry_after="2"), error(400, "too long"), Answer(body={"no": "vectors"}))
    assert [(await embed(service)).status_code for _ in range(3)] == [429, 400, 502]


async def test_embedders_are_listed_and_cannot_chat(service: Service) -> None:
    listed = (await service.client.get("/v1/models")).json()["data"]
    assert [card["id"] for card in listed][-1] == NAME
    assert (await service.client.get(f"/v1/models/{NAME}")).json()["owned_by"] == "upstream"
    response = await service.ask({"model": NAME, "messages": [{"role": "user", "content": "a"}]})
    assert response.status_code == 404
