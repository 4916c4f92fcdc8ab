"""The Responses API on a real application, store and HTTP backend: whole answers."""

import pytest

from app.outcomes import Outcome
from optimizer.types import JsonObject, Usage
from tests.app.chat.serving import (
    BASE_MODEL,
    EXAMPLES,
    MODEL,
    UPSTREAM_MODEL,
    Service,
    add_version,
    open_service,
)
from tests.app.responses.asking import CALL, DONE, PATH, delta, events, respond, said
from tests.fakes.openai_server import Answer, Reply, Stream, error

SENT: JsonObject = {
    "model": UPSTREAM_MODEL,
    "messages": [
        {"role": "system", "content": "Be kind.\n\nIn rhyme."},
        {"role": "user", "content": "Why is the sky blue?"},
        {"role": "assistant", "content": "Scattering."},
        {"role": "user", "content": "Why is the sea blue?"},
    ],
    "temperature": 0.5,
    "max_tokens": 50,
    "user": "ann",
    "odd": [1],
}

TOLD: JsonObject = {
    "object": "response",
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": MODEL,
    "instructions": "In rhyme.",
    "temperature": 0.5,
    "max_output_tokens": 50,
    "metadata": {"a": "b"},
    "store": False,
    "previous_response_id": None,
    "parallel_tool_calls": True,
    "tools": [],
    "tool_choice": "auto",
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    },
}


async def test_an_aligned_answer_is_a_response(service: Service) -> None:
    outcomes: list[Outcome] = []
    service.resources.outcomes.listen(outcomes.append)
    version = await add_version(service.resources.prompts, "Be kind.", examples=EXAMPLES)
    service.fake.push(said(content="Because of light."))
    response = await respond(
        service,
        instructions="In rhyme.",
        temperature=0.5,
        max_output_tokens=50,
        metadata={"a": "b"},
        store=False,
        user="ann",
        odd=[1],
    )
    assert response.status_code == 200, response.text
    assert response.headers["x-drpo-prompt-version"] == version.id
    assert service.sent.path == "/v1/chat/completions"
    assert service.sent.body == SENT
    told = response.json()
    assert told["id"].startswith("resp_")
    assert told["created_at"] > 1_700_000_000
    assert told.items() >= TOLD.items()
    part = {"type": "output_text", "text": "Because of light.", "annotations": [], "logprobs": []}
    [item] = told["output"]
    assert item.pop("id").startswith("msg_")
    assert item == {"type": "message", "role": "assistant", "status": "completed", "content": [part]}
    assert [(one.endpoint, one.usage) for one in outcomes] == [
        (PATH, Usage(prompt_tokens=9, completion_tokens=6, cached_prompt_tokens=4))
    ]


async def test_reasoning_refusals_and_calls_are_items(service: Service) -> None:
    service.fake.push(
        said(
            content="I look.",
            reasoning_content="Hm.",
            refusal="Not that.",
            tool_calls=[CALL],
            reason="tool_calls",
        )
    )
    told = (await respond(service)).json()
    assert [item["type"] for item in told["output"]] == ["reasoning", "message", "function_call"]
    reasoning, message, call = told["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert (call["call_id"], call["name"], call["arguments"]) == ("t1", "weather", '{"a": 1}')
    assert len({item["id"] for item in told["output"]}) == 3


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
async def test_a_response_says_why_it_is_incomplete(
    service: Service, reason: str, status: str, why: dict[str, str] | None
) -> None:
    service.fake.push(
        said(content="Be", reason=reason), Stream(chunks=[delta(content="Be"), delta(reason), DONE])
    )
    told = (await respond(service)).json()
    assert (told["status"], told["incomplete_details"]) == (status, why)
    last = events(await respond(service, stream=True))[-1]
    assert last["type"] == f"response.{status}"
    assert (last["response"]["status"], last["response"]["incomplete_details"]) == (status, why)


async def test_the_item_that_is_cut_short_is_incomplete(service: Service) -> None:
    service.fake.push(
        said(content="Be", reasoning_content="Hm", reason="length"),
        said(content="Be", tool_calls=[CALL, CALL], reason="length"),
        said(reason="length"),
    )
    statuses = [[item["status"] for item in (await respond(service)).json()["output"]] for _ in range(3)]
    assert statuses == [["completed", "incomplete"], ["completed", "completed", "incomplete"], []]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_response_is_one_answer(service: Service, stream: bool) -> None:
    for n in (2, 0, "1", True):
        response = await respond(service, stream=stream, n=n)
        assert (response.status_code, response.json()["error"]["param"]) == (400, "n")
    assert service.fake.requests == []
    assert (await respond(service, stream=stream, n=1)).status_code == 200
    assert "n" not in service.sent.body


async def test_log_probabilities_come_with_the_text(service: Service) -> None:
    token = {"token": "Be", "logprob": -0.1, "top_logprobs": [{"token": "Be", "logprob": -0.1}]}
    service.fake.push(said(content="Be", logprobs={"content": [token]}))
    told = (await respond(service, include=["message.output_text.logprobs"], top_logprobs=1)).json()
    assert told["output"][0]["content"][0]["logprobs"] == [{"bytes": [], **token}]
    assert service.sent.body["logprobs"] is True
    assert service.sent.body["top_logprobs"] == 1


async def test_an_unknown_model_is_not_found(service: Service) -> None:
    response = await respond(service, model="nobody")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (error(429, retry_after="2"), 429),
        (error(400, "too long"), 400),
        (Answer(body={"choices": []}), 502),
        (Answer(body={"choices": [{"text": "a"}]}), 502),
        (Answer(body=b'{"choices": [{"message": {"content": "a", "tool_calls": 3}}]}'), 200),
    ],
)
async def test_failures_have_their_status(service: Service, reply: Reply, status: int) -> None:
    service.fake.push(reply)
    assert (await respond(service)).status_code == status


async def test_a_stored_prompt_says_the_model_and_takes_variables(service: Service) -> None:
    version = await add_version(service.resources.prompts, "Be {{how}}.")
    body = {"input": "Hi", "prompt": {"id": version.id, "variables": {"how": "{{kind}}"}}}
    response = await service.client.post(PATH, json=body)
    assert response.json()["model"] == MODEL
    assert response.json()["prompt"]["id"] == version.id
    assert service.sent.body["messages"] == [
        {"role": "system", "content": "Be {{kind}}."},
        {"role": "user", "content": "Hi"},
    ]


async def test_the_limit_of_tokens_has_the_name_that_the_backend_knows(sqlite_url: str) -> None:
    can: JsonObject = {"max_tokens_field": "max_completion_tokens"}
    async with open_service(sqlite_url, capabilities=can) as service:
        await respond(service, max_output_tokens=7)
        assert service.sent.body["max_completion_tokens"] == 7
        assert "max_tokens" not in service.sent.body


async def test_a_base_model_responds(service: Service) -> None:
    told = (await respond(service, model=BASE_MODEL, max_output_tokens=7)).json()
    assert told["output"][0]["content"][0]["text"].startswith("an answer")
    assert service.sent.path == "/v1/completions"
    assert service.sent.body["max_tokens"] == 7
    response = await respond(service, model=BASE_MODEL, tools=[{"type": "function", "name": "a"}])
    assert (response.status_code, response.json()["error"]["param"]) == (400, "tools")
