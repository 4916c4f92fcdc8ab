"""Plain completions on a real application, store and HTTP backend."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from app.answer_ids import token_of
from optimizer.types import JsonObject
from tests.app.chat.serving import BASE_MODEL, EXAMPLES, MODEL, Service, add_version, open_service
from tests.fakes.openai_server import Answer, Stream, error, sse

PATH = "/v1/completions"
DONE = b"data: [DONE]\n\n"


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[Service]:
    async with open_service(sqlite_url) as opened:
        yield opened


async def complete(service: Service, prompt: object = "The sea is", **fields: object) -> httpx.Response:
    return await service.client.post(PATH, json={"model": BASE_MODEL, "prompt": prompt, **fields})


@pytest.mark.parametrize("prompt", ["The sea is", ["a", "b"], [1, 2, 3], [[1, 2], [3]]])
async def test_what_is_to_be_completed_passes_as_it_is(service: Service, prompt: object) -> None:
    await add_version(service.resources.prompts, model=BASE_MODEL)
    response = await complete(service, prompt, n=2, echo=True, logprobs=3, odd={"a": [None]})
    assert response.status_code == 200
    assert response.headers["x-drpo-prompt-version"] == "none"
    assert response.headers["x-drpo-upstream-model"] == "vendor-base-1"
    assert response.json()["model"] == BASE_MODEL
    assert response.json()["choices"][1]["text"].startswith("an answer")
    assert service.sent.path == PATH
    assert service.sent.body == {
        "model": "vendor-base-1",
        "prompt": prompt,
        "n": 2,
        "echo": True,
        "logprobs": 3,
        "odd": {"a": [None]},
    }


async def test_a_chat_model_completes_where_its_backend_can(service: Service) -> None:
    response = await complete(service, model=MODEL)
    assert response.json()["model"] == MODEL
    assert service.sent.path == PATH


async def test_a_text_is_aligned_as_a_query_where_the_request_asks_for_that(service: Service) -> None:
    version = await add_version(
        service.resources.prompts, "Be kind.", model=BASE_MODEL, examples=EXAMPLES, sampling={"top_p": 0.5}
    )
    for ours in ({"align": True}, {"label": "production"}, {"prompt_version": version.id}):
        response = await complete(service, "Why is the sea blue?", drpo=ours, stop="END", logprobs=2)
        assert response.headers["x-drpo-prompt-version"] == version.id
        assert response.headers["x-drpo-retrieval"] == "lexical"
        assert response.json()["choices"][0]["text"]
    assert service.sent.body == {
        "model": "vendor-base-1",
        "prompt": (
            "# Instruction:\nBe kind.\n\n# Query:\nWhy is the sky blue?\n\n# Answer:\nScattering.\n\n"
            "# Query:\nWhy is the sea blue?\n\n# Answer:\n"
        ),
        "stop": ["END", "\n# Query:"],
        "max_tokens": 2048,
        "top_p": 0.5,
        "logprobs": 2,
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [[1], "a"]}, "prompt"),
        ({"prompt": [True]}, "prompt"),
        ({"prompt": {}}, "prompt"),
        ({"model": 3}, "model"),
        ({"stream": 1}, "stream"),
        ({"stream": True, "stream_options": 1}, "stream_options"),
        ({"drpo": {"align": "yes"}}, "drpo.align"),
        ({"drpo": {"align": True}, "prompt": ["a", "b"]}, "prompt"),
        ({"drpo": {"align": True}, "prompt": [1, 2]}, "prompt"),
        ({"drpo": {"align": True}, "echo": True}, "echo"),
        ({"drpo": {"align": True}, "suffix": "x"}, "suffix"),
        ({"drpo": {"align": True}, "model": MODEL}, "model"),
    ],
)
async def test_what_cannot_be_used_is_named(service: Service, fields: dict[str, object], param: str) -> None:
    await add_version(service.resources.prompts, model=BASE_MODEL)
    response = await service.client.post(PATH, json={"model": BASE_MODEL, "prompt": "a", **fields})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert service.fake.requests == []


async def test_an_unknown_model_is_not_found(service: Service) -> None:
    response = await complete(service, model="nobody")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_stream_passes_under_the_right_name_with_its_tokens_kept_back(service: Service) -> None:
    text: JsonObject = {"id": "c", "model": "vendor-base-1", "choices": [{"index": 0, "text": "blue"}]}
    counted: JsonObject = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    count: JsonObject = {"id": "c", "model": "vendor-base-1", "choices": [], "usage": counted}
    service.fake.push(Stream(chunks=[sse(text), sse(count), DONE]))
    response = await complete(service, stream=True)
    frames = response.content.split(b"\n\n")
    told = json.loads(frames[0].removeprefix(b"data: "))
    assert told == {**text, "model": BASE_MODEL, "id": told["id"]}
    assert told["id"].startswith("cmpl-")
    assert token_of(told["id"]) is not None
    assert frames[1:] == [b"data: [DONE]", b""]
    assert service.sent.body["stream_options"] == {"include_usage": True}


async def test_a_backends_refusal_is_the_callers(service: Service) -> None:
    service.fake.push(error(400, "too long"), Answer(body={"object": "x"}))
    assert (await complete(service)).status_code == 400
    assert (await complete(service)).status_code == 502
