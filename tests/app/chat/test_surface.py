"""All of a chat request reaches the backend as it is, and all of the answer the caller, whatever it is."""

import json
from typing import Final

import httpx
import pytest

from app.chat.fields import EXTENSION
from optimizer.types import JsonObject, JsonValue
from tests.app.chat.serving import BASE_MODEL, MODEL, UPSTREAM_MODEL, Listening, add_version
from tests.fakes.openai_server import Answer, Stream, sse

PATH: Final = "/v1/chat/completions"
_SCHEMA: Final[JsonObject] = {"type": "object", "properties": {}, "additionalProperties": False}
TOOL: Final[JsonObject] = {
    "type": "function",
    "function": {"name": "weather", "strict": True, "parameters": {"type": "object", "properties": {}}},
}
CALL: Final[JsonObject] = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
TURNS: Final[list[JsonValue]] = [
    {
        "role": "user",
        "name": "ann",
        "content": [
            {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        ],
    },
    {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "t1", "content": [{"type": "text", "text": "rain"}]},
    {"role": "assistant", "audio": {"id": "audio_1"}, "refusal": None},
    {"role": "user", "content": "And now?"},
]
FIELDS: Final[JsonObject] = {
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA}},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"50256": -100},
    "n": 2,
    "seed": 2**63 - 1,
    "stop": ["END", "\n\n"],
    "max_tokens": 5,
    "max_completion_tokens": 6,
    "temperature": 0.0,
    "top_p": 1,
    "presence_penalty": -0.5,
    "reasoning_effort": "low",
    "reasoning": {"max_tokens": 100},
    "verbosity": "low",
    "prediction": {"type": "content", "content": "a"},
    "metadata": {"a": "b"},
    "store": False,
    "service_tier": "auto",
    "user": "ann",
    "safety_identifier": "ann",
    "prompt_cache_key": "k",
    "chat_template_kwargs": {"enable_thinking": False},
    "min_p": 1e-05,
    "only_this_backend_knows": {"nested": [None, True, 1.5, "\u00fc\U0001f642"]},
}
MESSAGE: Final[JsonObject] = {
    "role": "assistant",
    "content": None,
    "reasoning_content": "Hm.",
    "refusal": None,
    "annotations": [],
    "audio": {"id": "audio_1", "data": "AA==", "expires_at": 1, "transcript": "Rain."},
    "tool_calls": [CALL],
}
USAGE: Final[JsonObject] = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "completion_tokens_details": {"reasoning_tokens": 3},
    "prompt_tokens_details": {"cached_tokens": 4},
}
LOGPROBS: Final[JsonObject] = {
    "content": [{"token": "Rain", "logprob": -0.1, "bytes": [82], "top_logprobs": []}]
}
ABOUT: Final[JsonObject] = {"id": "c-1", "created": 1, "system_fingerprint": "fp", "provider": {"name": "v"}}


@pytest.mark.parametrize("stream", [False, True])
async def test_every_field_reaches_the_backend_as_it_is(
    listening: Listening, client: httpx.AsyncClient, stream: bool
) -> None:
    await add_version(listening.prompts, "Be kind.")
    body: JsonObject = {
        "model": MODEL,
        "messages": TURNS,
        **FIELDS,
        "n": 1 if stream else 2,
        "stream": stream,
    }
    extended = {**body, EXTENSION: {"label": "production"}}
    response = await client.post(PATH, json=extended)
    assert response.status_code == 200, response.text
    sent = dict(listening.fake.requests[-1].body)
    assert sent.pop("stream_options", None) == ({"include_usage": True} if stream else None)
    assert sent == {
        **body,
        "model": UPSTREAM_MODEL,
        "messages": [{"role": "system", "content": "Be kind."}, *TURNS],
    }


async def test_every_field_of_an_answer_reaches_the_caller(
    listening: Listening, client: httpx.AsyncClient
) -> None:
    choice: JsonObject = {"index": 0, "message": MESSAGE, "finish_reason": "tool_calls", "logprobs": LOGPROBS}
    told: JsonObject = {**ABOUT, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    listening.fake.push(Answer(body={**told, "model": UPSTREAM_MODEL}))
    response = await client.post(PATH, json={"model": MODEL, "messages": TURNS})
    assert response.json() == {**told, "model": MODEL, "id": response.json()["id"]}
    assert response.json()["id"] != told["id"]


async def test_every_field_of_a_stream_reaches_the_caller(
    listening: Listening, client: httpx.AsyncClient
) -> None:
    deltas: list[JsonObject] = [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        {"audio": {"id": "audio_1", "data": "AA==", "transcript": "Rain."}},
        {"tool_calls": [{"index": 0, **CALL}]},
    ]
    about: JsonObject = {**ABOUT, "object": "chat.completion.chunk", "obfuscation": "x"}
    frames: list[JsonObject] = [
        {**about, "choices": [{"index": index, "delta": delta, "finish_reason": None, "logprobs": LOGPROBS}]}
        for delta in deltas
        for index in (0, 1)
    ]
    frames.append({**about, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    frames.append({**about, "choices": [], "usage": USAGE})
    chunks = [sse({**frame, "model": UPSTREAM_MODEL}) for frame in frames]
    listening.fake.push(Stream(chunks=[*chunks, b"data: [DONE]\n\n"]))
    asked: JsonObject = {"model": MODEL, "messages": TURNS, "n": 2, "stream": True}
    response = await client.post(PATH, json={**asked, "stream_options": {"include_usage": True}})
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    told = [json.loads(event.removeprefix("data: ")) for event in events]
    assert told == [{**frame, "model": MODEL, "id": told[0]["id"]} for frame in frames]
    assert told[0]["id"] != frames[0]["id"]


@pytest.mark.parametrize("path", [f"/v1/models/{BASE_MODEL}", f"/v1/models/{BASE_MODEL.replace('/', '%2F')}"])
async def test_a_models_id_may_hold_slashes_however_they_are_sent(
    client: httpx.AsyncClient, path: str
) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()["id"]) == (200, BASE_MODEL)
    answer = await client.post(
        PATH, json={"model": BASE_MODEL, "messages": [{"role": "user", "content": "a"}]}
    )
    assert answer.json()["model"] == BASE_MODEL
