"""The wire format, through httpx."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from app.backend_settings import SimulatedFaults, SimulatedSettings
from app.llm.simulated.transport import SimulatedTransport
from tests.app.llm.simulated.messages import (
    PLAIN,
    as_object,
    chat,
    judge_message,
    judge_system,
    proposer_message,
    proposer_system,
    selector_message,
    selector_system,
)

SMALL = "simulated-small"
QUERY = "Why does bread rise in the oven?"
URL = "http://simulated.invalid/v1"


def _client(transport: httpx.AsyncBaseTransport, timeout: float | None = 5) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport, base_url=URL, timeout=timeout)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with _client(SimulatedTransport(SimulatedSettings())) as opened:
        yield opened


async def _text(client: httpx.AsyncClient, body: dict[str, object]) -> str:
    response = await client.post("/chat/completions", json=body)
    assert response.status_code == 200, response.text
    content = response.json()["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


async def _events(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> list[str]:
    async with client.stream("POST", path, json={**body, "stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        return [line.removeprefix("data: ") async for line in response.aiter_lines() if line]


async def test_a_chat_completion_has_the_openai_shape(client: httpx.AsyncClient) -> None:
    body = chat(SMALL, ("system", PLAIN), ("user", QUERY))
    response = (await client.post("/chat/completions", json=body)).json()
    (choice,) = response["choices"]
    assert response["object"] == "chat.completion"
    assert response["model"] == SMALL
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    usage = response["usage"]
    assert usage["completion_tokens"] == -(-len(choice["message"]["content"]) // 4)
    assert usage["prompt_tokens"] > (len(PLAIN) + len(QUERY)) // 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_a_plain_completion_has_the_openai_shape(client: httpx.AsyncClient) -> None:
    text = f"# Instruction:\n{PLAIN}\n\n# Query:\n{QUERY}\n\n# Answer:\n"
    body = {"model": "simulated-base", "prompt": text, "temperature": 0, "stop": ["\n# Query:"]}
    response = (await client.post("/completions", json=body)).json()
    assert response["object"] == "text_completion"
    assert response["choices"][0]["finish_reason"] == "stop"
    assert "bread" in response["choices"][0]["text"].lower()
    assert "# Query:" not in response["choices"][0]["text"]


async def test_a_base_model_goes_on_without_a_stop_sequence(client: httpx.AsyncClient) -> None:
    body = {"model": "simulated-base", "prompt": f"# Query:\n{QUERY}\n\n# Answer:\n", "temperature": 0}
    assert "\n# Query:" in (await client.post("/completions", json=body)).json()["choices"][0]["text"]


async def test_content_parts_are_read_as_their_text(client: httpx.AsyncClient) -> None:
    plain = await _text(client, chat(SMALL, ("user", QUERY)))
    parts = [{"type": "text", "text": QUERY}, {"type": "image_url", "image_url": {"url": "x"}}]
    body = {"model": SMALL, "temperature": 0, "messages": [{"role": "user", "content": parts}]}
    assert await _text(client, body) == plain


async def test_several_completions_differ_when_sampled_and_count_in_the_usage(
    client: httpx.AsyncClient,
) -> None:
    body = chat(SMALL, ("user", QUERY), temperature=1, n=4, seed=3)
    response = (await client.post("/chat/completions", json=body)).json()
    texts = [choice["message"]["content"] for choice in response["choices"]]
    assert [choice["index"] for choice in response["choices"]] == [0, 1, 2, 3]
    assert len(set(texts)) > 1
    assert response["usage"]["completion_tokens"] == sum(-(-len(text) // 4) for text in texts)


async def test_a_seed_repeats_a_sample_and_without_one_it_is_drawn_anew(client: httpx.AsyncClient) -> None:
    seeded = chat(SMALL, ("user", QUERY), temperature=1, seed=5)
    assert await _text(client, seeded) == await _text(client, seeded)
    free = chat(SMALL, ("user", QUERY), temperature=1)
    assert len({await _text(client, free) for _ in range(5)}) > 1


async def test_a_fresh_transport_with_the_same_seed_gives_the_same_answers() -> None:
    bodies = [chat(SMALL, ("user", f"{QUERY} {index}"), temperature=1) for index in range(5)]
    runs = []
    for seed in (0, 0, 1):
        async with _client(SimulatedTransport(SimulatedSettings(seed=seed))) as client:
            runs.append([await _text(client, body) for body in bodies])
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_token_limit_cuts_the_answer(client: httpx.AsyncClient, field: str) -> None:
    body = chat(SMALL, ("user", QUERY), **{field: 5})
    response = (await client.post("/chat/completions", json=body)).json()
    assert response["choices"][0]["finish_reason"] == "length"
    assert response["usage"]["completion_tokens"] == 5


async def test_a_stop_sequence_ends_the_answer(client: httpx.AsyncClient) -> None:
    whole = await _text(client, chat(SMALL, ("user", QUERY)))
    assert (
        await _text(client, chat(SMALL, ("user", QUERY), stop=whole[10:14]))
        == whole[: whole.find(whole[10:14])]
    )


@pytest.mark.parametrize("usage", [True, False])
async def test_a_streamed_chat_says_what_a_whole_one_says(client: httpx.AsyncClient, usage: bool) -> None:
    body = chat(SMALL, ("user", QUERY), n=2)
    whole = (await client.post("/chat/completions", json=body)).json()
    *raw, done = await _events(
        client, "/chat/completions", {**body, "stream_options": {"include_usage": usage}}
    )
    events = [as_object(item) for item in raw]
    assert done == "[DONE]"
    assert len({json.dumps([event["id"], event["created"], event["model"]]) for event in events}) == 1
    chunks = [event["choices"][0] for event in json.loads(json.dumps(events)) if event["choices"]]
    for index in (0, 1):
        own = [chunk for chunk in chunks if chunk["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        text = "".join(chunk["delta"].get("content", "") for chunk in own)
        assert text == whole["choices"][index]["message"]["content"]
        assert [chunk["finish_reason"] for chunk in own if chunk["finish_reason"]] == ["stop"]
    if usage:
        assert events[-1]["choices"] == []
        assert events[-1]["usage"] == whole["usage"]
        assert all(event["usage"] is None for event in events[:-1])
    else:
        assert not any("usage" in event for event in events)


async def test_a_plain_completion_can_be_streamed(client: httpx.AsyncClient) -> None:
    body: dict[str, object] = {"model": "simulated-base", "prompt": QUERY, "temperature": 0}
    whole = (await client.post("/completions", json=body)).json()["choices"][0]["text"]
    *raw, done = await _events(client, "/completions", body)
    assert done == "[DONE]"
    assert "".join(json.loads(item)["choices"][0]["text"] for item in raw) == whole


async def test_the_models_are_listed(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/models")).json()
    names = [model["id"] for model in listed["data"]]
    chat_models = ["simulated-small", "simulated-chat", "simulated-critic"]
    assert names == [*chat_models, "simulated-base", "simulated-embedder"]
    assert (await client.get("/models/simulated-chat")).json()["id"] == "simulated-chat"
    assert (await client.get("/models/gpt-9")).status_code == 404


async def test_an_unknown_model_or_one_without_chat_is_not_found(client: httpx.AsyncClient) -> None:
    for name in ("gpt-9", "simulated-base"):
        response = await client.post("/chat/completions", json=chat(name, ("user", QUERY)))
        error = response.json()["error"]
        assert response.status_code == 404
        assert (error["code"], error["type"], error["param"]) == (
            "model_not_found",
            "invalid_request_error",
            "model",
        )


@pytest.mark.parametrize(
    "body",
    [
        {"model": SMALL},
        {"model": SMALL, "messages": []},
        {"model": SMALL, "messages": [{"role": "wizard", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}]},
        chat(SMALL, ("user", "x"), n=0),
        chat(SMALL, ("user", "x"), temperature=9),
        chat(SMALL, ("user", "x"), max_tokens=0),
        chat(SMALL, ("user", "x"), stop=5),
        chat(SMALL, ("user", "x"), response_format={"type": "poem"}),
    ],
)
async def test_a_bad_body_is_refused_with_the_field_at_fault(
    client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    response = await client.post("/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert response.json()["error"]["param"]


async def test_what_is_not_json_or_not_a_route_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/chat/completions", content=b"{nope")).status_code == 400
    assert (await client.post("/embeddings", content=b"{nope")).status_code == 400
    assert (await client.post("/images", json={})).status_code == 404


async def test_the_task_is_told_from_the_messages(client: httpx.AsyncClient) -> None:
    critic = "simulated-critic"
    judged = await _text(
        client, chat(critic, ("system", judge_system()), ("user", judge_message("Yes.", {"Clarity": "how"})))
    )
    assert set(as_object(judged)) == {"scores"}
    selected = await _text(
        client,
        chat(
            critic,
            ("system", selector_system({"Clarity": "a", "Depth": "b"})),
            ("user", selector_message("Hi")),
        ),
    )
    assert set(as_object(selected)) == {"analysis", "criteria", "reasoning"}
    proposed = await _text(
        client, chat(critic, ("system", proposer_system()), ("user", proposer_message(PLAIN, {"Clarity": 2})))
    )
    assert set(as_object(proposed)) == {"analysis", "system_prompt"}
    plain = await _text(client, chat(critic, ("system", PLAIN), ("user", QUERY)))
    assert "bread" in plain.lower()
    assert await _text(client, chat(critic, ("user", QUERY)))


async def test_a_target_does_not_play_the_critic(client: httpx.AsyncClient) -> None:
    message = judge_message("Yes.", {"Clarity": "how"})
    assert not (await _text(client, chat(SMALL, ("system", judge_system()), ("user", message)))).startswith(
        "{"
    )


async def test_a_repair_request_is_answered_from_the_material(client: httpx.AsyncClient) -> None:
    turns = (("system", judge_system()), ("user", judge_message("Yes.", {"Clarity": "how"})))
    repaired = await _text(
        client,
        chat(
            "simulated-critic", *turns, ("assistant", "nonsense"), ("user", "Your reply could not be read.")
        ),
    )
    assert as_object(repaired) == as_object(await _text(client, chat("simulated-critic", *turns)))


async def test_a_response_format_is_followed(client: httpx.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}
    named = {"type": "json_schema", "json_schema": {"name": "colour", "schema": schema}}
    assert set(as_object(await _text(client, chat(SMALL, ("user", QUERY), response_format=named)))) == {
        "colour"
    }
    loose = chat(SMALL, ("user", QUERY), response_format={"type": "json_object"})
    assert as_object(await _text(client, loose))
    free = chat(SMALL, ("user", QUERY), response_format={"type": "text"})
    assert not (await _text(client, free)).startswith("{")


async def test_requests_are_counted_whatever_becomes_of_them() -> None:
    transport = SimulatedTransport(SimulatedSettings(faults=SimulatedFaults(connection_lost=1)))
    async with _client(transport) as client:
        for _ in range(3):
            with pytest.raises(httpx.ReadError):
                await client.get("/models")
    assert transport.requests == 3


async def test_a_latency_beyond_the_read_timeout_times_out() -> None:
    transport = SimulatedTransport(SimulatedSettings(latency_ms=10_000))
    async with _client(transport, timeout=0.01) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/chat/completions", json=chat(SMALL, ("user", QUERY)))
        with pytest.raises(httpx.ReadTimeout):
            await _events(client, "/chat/completions", chat(SMALL, ("user", QUERY)))


async def test_a_short_latency_with_jitter_is_waited_for() -> None:
    transport = SimulatedTransport(SimulatedSettings(latency_ms=2, latency_jitter=0.5))
    async with _client(transport) as client:
        assert (await _events(client, "/chat/completions", chat(SMALL, ("user", QUERY))))[-1] == "[DONE]"


async def test_a_stream_that_is_cut_raises_in_the_client() -> None:
    transport = SimulatedTransport(SimulatedSettings(faults=SimulatedFaults(broken_stream=1)))
    cut = 0
    async with _client(transport) as client:
        for index in range(12):
            try:
                events = await _events(client, "/chat/completions", chat(SMALL, ("user", f"{QUERY} {index}")))
                assert events[-1] != "[DONE]"
            except httpx.RemoteProtocolError:
                cut += 1
    assert 0 < cut < 12
