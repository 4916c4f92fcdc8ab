"""What vLLM refuses reaches the user as a 4xx that says what to change."""

from collections.abc import AsyncIterator

import pytest

from tests.app.jobs.service import JobService, failure
from tests.vllm.server import CONTEXT, MODEL, VllmServer
from tests.vllm.service import service_on

UNIQUE = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}, "required": ["a"]}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


@pytest.fixture
async def service(vllm: VllmServer, sqlite_url: str) -> AsyncIterator[JobService]:
    async with service_on(vllm, sqlite_url) as opened:
        yield opened


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"n": 2, "temperature": 0}, "raise temperature"),
        ({"max_tokens": CONTEXT + 1}, "for fewer tokens"),
        ({"messages": [{"role": "user", "content": "bird " * CONTEXT}]}, "longer than the model's context"),
        ({"logprobs": True, "top_logprobs": 50}, "top_logprobs"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": UNIQUE}}},
            "leave out what it does not know",
        ),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "text alone"),
    ],
)
async def test_a_refusal_says_what_to_change(
    service: JobService, fields: dict[str, object], advice: str
) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Name a bird."}], **fields}
    refused = failure(await service.post("/v1/chat/completions", body), 400)
    assert advice in refused["message"]


async def test_a_model_that_it_does_not_serve_is_named_with_its_setting(service: JobService) -> None:
    body = {"model": "absent", "messages": [{"role": "user", "content": "Name a bird."}]}
    answer = await service.post("/v1/chat/completions", body)
    assert "set targets.absent.model" in failure(answer, answer.status_code)["message"]
    assert answer.status_code >= 500  # the operator's mistake, not the caller's
