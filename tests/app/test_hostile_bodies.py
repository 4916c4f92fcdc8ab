"""Bodies that nobody would send in good faith: every one gets a 4xx in the envelope, short and at once."""

import json
import random
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from tests.app.chat.serving import BASE_MODEL, MODEL, Service, add_version, open_service
from tests.fakes.openai_server import Answer, error

EMBEDDER = "embedder"
GOOD: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "tool_calls": [{"id": "1"}]},
        ],
        "stream": False,
        "stream_options": {"include_usage": True},
        "prompt": {"id": MODEL, "version": "1", "variables": {"x": "y"}},
        "drpo": {"k": 1, "label": "production", "examples": "last"},
        "stop": ["a"],
        "max_tokens": 3,
        "tools": [{}],
    },
    "/v1/responses": {
        "model": MODEL,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "function_call", "call_id": "a", "name": "b", "arguments": "{}"},
            {"type": "reasoning", "content": [{"text": "a"}]},
            {"type": "function_call_output", "call_id": "a", "output": "x"},
        ],
        "instructions": "a",
        "tools": [{"type": "function", "name": "a"}],
        "tool_choice": {"type": "function", "name": "a"},
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["message.output_text.logprobs"],
        "max_output_tokens": 4,
        "truncation": "disabled",
        "store": False,
        "prompt": {"id": MODEL},
        "drpo": {},
    },
    "/v1/completions": {
        "model": BASE_MODEL,
        "prompt": ["a"],
        "drpo": {"align": True},
        "stop": "x",
        "max_tokens": 3,
        "echo": False,
    },
    "/v1/embeddings": {"model": EMBEDDER, "input": [[1, 2], [3]], "dimensions": 2},
}
ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    10**30,
    1.5,
    "",
    "\0",
    "\ud83d",
    "x" * 300,
    [],
    [[]],
    [None],
    {},
    {"a": {}},
    {"type": []},
    {"type": "json_schema"},
    MODEL,
    "pv_x",
)


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[Service]:
    embedders = {EMBEDDER: {"backend": "upstream", "model": "e"}}
    async with open_service(sqlite_url, embedders=embedders) as opened:
        # what reaches the backend is refused there, so a 5xx would be ours
        opened.fake.script = lambda _: error(400)
        await add_version(opened.resources.prompts, "Be {{x}}.")
        await add_version(opened.resources.prompts, "Be.", model=BASE_MODEL)
        yield opened


def spoilt(rng: random.Random, value: Any) -> Any:
    """``value`` with odd values in places, and without some of its fields."""
    if rng.random() < 0.18:
        return rng.choice(ODD)
    if isinstance(value, dict):
        return {name: spoilt(rng, part) for name, part in value.items() if rng.random() > 0.12}
    return [spoilt(rng, part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", list(GOOD))
async def test_a_spoilt_body_is_refused_in_the_envelope(service: Service, path: str) -> None:
    rng = random.Random(5)
    for _ in range(150):
        body = spoilt(rng, GOOD[path])
        response = await service.client.post(path, content=json.dumps(body))
        assert 400 <= response.status_code < 500, (body, response.text)
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}, body
        assert response.headers["content-type"] == "application/json"


HUGE = {
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 5_000,
    "long model": b'{"input":"a","prompt":"a","messages":[{"role":"user"}],"model":"'
    + b"x" * 9_000_000
    + b'"}',
    "too long": b'{"input": "' + b"y" * 11_000_000 + b'"}',
    "no Unicode": b"\xff\xfe",
    "nothing": b"",
}


@pytest.mark.parametrize("path", list(GOOD))
@pytest.mark.parametrize("levels", [250, 1000])
async def test_a_body_that_is_nested_too_deeply_is_refused_wherever_that_is(
    service: Service, path: str, levels: int
) -> None:
    service.fake.script = lambda _: Answer(body={"choices": [{"message": {"content": "a"}}], "data": []})
    for field in (*GOOD[path], "metadata", "odd"):
        for deep in ("[" * levels + "]" * levels, '{"a":' * levels + "0" + "}" * levels):
            body = {**GOOD[path], field: "DEEP"}
            response = await service.client.post(path, content=json.dumps(body).replace('"DEEP"', deep))
            assert response.status_code == 400, (field, response.text)
            assert "nested too deeply" in response.json()["error"]["message"]
    assert service.fake.requests == []


WIDE: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {"model": MODEL, "messages": [{"role": "user", "content": "[{"}] * 300},
    "/v1/responses": {"model": MODEL, "input": [{"role": "user", "content": "[{"}] * 300},
    "/v1/completions": {"model": BASE_MODEL, "prompt": "[{" * 300},
    "/v1/embeddings": {"model": EMBEDDER, "input": [[1, 2]] * 300},
}


@pytest.mark.parametrize("path", list(WIDE))
async def test_brackets_in_texts_and_many_turns_are_no_depth(service: Service, path: str) -> None:
    service.fake.script = lambda _: Answer(body={"choices": [{"message": {"content": "a"}}], "data": []})
    nested = "[" * 190 + "]" * 190
    content = json.dumps({**WIDE[path], "odd": "DEEP"}).replace('"DEEP"', nested)
    assert (await service.client.post(path, content=content)).status_code == 200
    assert service.sent.body["odd"] == json.loads(nested)


@pytest.mark.parametrize("path", list(GOOD))
@pytest.mark.parametrize("name", list(HUGE))
async def test_a_huge_body_gets_a_short_answer(service: Service, path: str, name: str) -> None:
    response = await service.client.post(path, content=HUGE[name])
    assert response.status_code in {400, 413}
    assert len(response.content) < 1000
    assert service.fake.requests == []
