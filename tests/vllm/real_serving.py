"""What users ask of vLLM through drpo: its own fields pass, to a model, its adapter and as a base model."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.app.jobs.service import JobService
from tests.vllm.server import ADAPTER, MODEL, VllmServer
from tests.vllm.service import BASE, service_on

BIRDS = ("curlew", "ostrich")
SCHEMA = {
    "type": "object",
    "properties": {"bird": {"type": "string", "enum": list(BIRDS)}},
    "required": ["bird"],
    "additionalProperties": False,
}
GRAMMAR = 'root ::= "a " bird\nbird ::= "curlew" | "ostrich"'
STRUCTURED: list[tuple[dict[str, Any], str]] = [
    ({"choice": list(BIRDS)}, "curlew|ostrich"),
    ({"regex": r"[1-5]/5"}, r"[1-5]/5"),
    ({"json": SCHEMA}, r'\{"bird": ?"(curlew|ostrich)"\}'),
    ({"grammar": GRAMMAR}, "a (curlew|ostrich)"),
]


@pytest.fixture
async def service(vllm: VllmServer, sqlite_url: str) -> AsyncIterator[JobService]:
    async with service_on(vllm, sqlite_url) as opened:
        yield opened


async def choices(service: JobService, model: str, **fields: object) -> list[dict[str, Any]]:
    body = {"model": model, "messages": [{"role": "user", "content": "Name a bird."}], "max_tokens": 24}
    answer = await service.post("/v1/chat/completions", {**body, **fields})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["choices"]
    return found


@pytest.mark.parametrize("model", [MODEL, ADAPTER, BASE])
@pytest.mark.parametrize(("wanted", "pattern"), STRUCTURED, ids=["choice", "regex", "json", "grammar"])
async def test_structured_outputs_pass(
    service: JobService, model: str, wanted: dict[str, Any], pattern: str
) -> None:
    [choice] = await choices(service, model, structured_outputs=wanted)
    assert re.fullmatch(pattern, choice["message"]["content"])


async def test_structured_outputs_pass_with_plain_completions_and_in_streams(service: JobService) -> None:
    wanted = {"choice": list(BIRDS)}
    body = {"model": MODEL, "prompt": "A bird:", "structured_outputs": wanted, "max_tokens": 24}
    assert (await service.post("/v1/completions", body)).json()["choices"][0]["text"] in BIRDS
    turns = [{"role": "user", "content": "Name a bird."}]
    streamed = {"model": MODEL, "messages": turns, "stream": True, "structured_outputs": wanted}
    frames = (await service.post("/v1/chat/completions", streamed)).text.split("\n\n")
    events = [json.loads(frame.removeprefix("data: ")) for frame in frames if frame.startswith("data: {")]
    words = [choice["delta"].get("content") or "" for event in events for choice in event["choices"]]
    assert "".join(words) in BIRDS


async def test_a_response_format_holds_for_several_answers(service: JobService) -> None:
    described = {"name": "bird", "schema": SCHEMA, "strict": True}
    wanted = {"type": "json_schema", "json_schema": described}
    several = await choices(service, MODEL, n=3, temperature=1, response_format=wanted)
    assert len(several) == 3
    assert {json.loads(choice["message"]["content"])["bird"] for choice in several} <= set(BIRDS)


async def test_what_samples_otherwise_than_the_model_s_own_defaults_passes(service: JobService) -> None:
    """The tiny model's generation_config.json says top_k 20: a version, or a caller, may say otherwise."""
    asked = {"n": 4, "seed": 3, "temperature": 2, "ignore_eos": True}
    usual, narrow = [
        {choice["message"]["content"] for choice in await choices(service, MODEL, **asked, **fields)}
        for fields in ({}, {"top_k": 1})
    ]
    assert (len(usual), len(narrow)) == (4, 1)
