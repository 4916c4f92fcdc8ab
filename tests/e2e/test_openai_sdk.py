"""The official SDK against the service, over real HTTP on both sides."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionToolParam, ChatCompletionUserMessageParam

from optimizer.types import JsonObject
from tests.app.chat.serving import (
    BASE_MODEL,
    EXAMPLES,
    MODEL,
    Listening,
    add_version,
    open_prompts,
    serve_service,
)
from tests.e2e.sdk import HELLO, SIMULATED, SIMULATED_BASE, sdk, simulated
from tests.fakes.openai_server import Answer, Drop, Stream, error, sse

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture
async def listening(sqlite_url: str) -> AsyncIterator[Listening]:
    async with serve_service(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(listening: Listening) -> AsyncIterator[AsyncOpenAI]:
    async with sdk(listening.url) as opened:
        yield opened


async def test_model_alone_picks_the_labelled_prompt(listening: Listening, client: AsyncOpenAI) -> None:
    version = await add_version(listening.prompts, "Be kind.", examples=EXAMPLES)
    raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=[HELLO])
    answer = raw.parse()

    assert answer.model == MODEL
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert raw.headers["x-drpo-prompt-version"] == version.id
    assert answer._request_id
    sent = listening.fake.requests[0].body["messages"]
    assert isinstance(sent, list)
    assert sent[0] == {"role": "system", "content": "Be kind."}
    assert len(sent) == 4


async def test_a_stream_is_read_to_its_end(listening: Listening, client: AsyncOpenAI) -> None:
    await add_version(listening.prompts)
    stream = await client.chat.completions.create(
        model=MODEL, messages=[HELLO], stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert {chunk.model for chunk in chunks} == {MODEL}
    assert len([choice for chunk in chunks for choice in chunk.choices]) == 8
    assert chunks[-1].usage is not None
    assert listening.fake.requests[0].body["stream_options"] == {"include_usage": True}


async def test_the_extension_travels_in_extra_body_and_headers(
    listening: Listening, client: AsyncOpenAI
) -> None:
    pinned = await add_version(listening.prompts, "Be brief.", label=None)
    await add_version(listening.prompts, "Be kind.")
    ways: list[tuple[dict[str, object], dict[str, str], str]] = [
        ({"drpo": {"prompt_version": pinned.id}}, {}, pinned.id),
        ({}, {"x-drpo-prompt-version": pinned.id}, pinned.id),
        ({"drpo": {"align": False}}, {}, "none"),
        ({}, {"x-drpo-align": "false"}, "none"),
    ]
    for body, headers, expected in ways:
        raw = await client.chat.completions.with_raw_response.create(
            model=MODEL, messages=[HELLO], extra_body=body, extra_headers=headers
        )
        assert raw.headers["x-drpo-prompt-version"] == expected
        assert "drpo" not in listening.fake.requests[-1].body


async def test_n_seed_and_stop_pass(listening: Listening, client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model=MODEL, messages=[HELLO], n=3, seed=7, stop=["END"], user="ann"
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    sent = listening.fake.requests[0].body
    assert (sent["n"], sent["seed"], sent["stop"], sent["user"]) == (3, 7, ["END"], "ann")


async def test_tools_pass_both_ways(listening: Listening, client: AsyncOpenAI) -> None:
    await add_version(listening.prompts)
    call: JsonObject = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    message: JsonObject = {"role": "assistant", "content": None, "tool_calls": [call]}
    listening.fake.push(
        Answer(
            body={
                "id": "c",
                "model": "vendor-model-1",
                "created": 1,
                "object": "chat.completion",
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
            }
        )
    )
    asked = await client.chat.completions.create(model=MODEL, messages=[HELLO], tools=[WEATHER])
    told = asked.choices[0].message
    assert told.tool_calls is not None
    assert told.tool_calls[0].id == "t1"

    await client.chat.completions.create(
        model=MODEL,
        messages=[
            HELLO,
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "rain"},
        ],
        tools=[WEATHER],
    )
    sent = listening.fake.requests[-1].body
    assert sent["tools"] == [WEATHER]
    assert isinstance(sent["messages"], list)
    assert sent["messages"][1:] == [
        HELLO,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
    ]


async def test_images_pass(listening: Listening, client: AsyncOpenAI) -> None:
    await add_version(listening.prompts)
    picture: ChatCompletionUserMessageParam = {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        ],
    }
    await client.chat.completions.create(model=MODEL, messages=[picture])
    sent = listening.fake.requests[-1].body["messages"]
    assert isinstance(sent, list)
    assert sent[1] == picture


async def test_a_base_model_chats(listening: Listening, client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model=BASE_MODEL, messages=[HELLO])
    assert (answer.model, answer.object) == (BASE_MODEL, "chat.completion")
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content


async def test_models_are_listed_and_found(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == [MODEL, BASE_MODEL]
    assert (await client.models.retrieve(BASE_MODEL)).id == BASE_MODEL
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("org/nothing")
    assert caught.value.code == "model_not_found"


async def test_an_unknown_model_is_a_not_found_error(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="use one of tuned") as caught:
        await client.chat.completions.create(model="gpt-nothing", messages=[HELLO])
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_a_bad_request_is_a_bad_request_error(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model=MODEL, messages=[])
    assert caught.value.param == "messages"


async def test_a_wrong_key_is_an_authentication_error(sqlite_url: str) -> None:
    key = "sk-ours-0123456789abcdef"
    async with serve_service(sqlite_url, server={"api_key": key}) as listening:
        async with sdk(listening.url, "sk-other") as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await client.chat.completions.create(model=MODEL, messages=[HELLO])
            assert caught.value.code == "invalid_api_key"
            assert "sk-other" not in str(caught.value)
        async with sdk(listening.url, key) as client:
            assert (await client.chat.completions.create(model=MODEL, messages=[HELLO])).choices


async def test_a_backends_429_is_a_rate_limit_error(listening: Listening, client: AsyncOpenAI) -> None:
    listening.fake.push(error(429, "slow down", retry_after="3"))
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model=MODEL, messages=[HELLO])
    assert caught.value.response.headers["retry-after"] == "3"


async def test_a_backend_that_is_gone_is_a_server_error(listening: Listening, client: AsyncOpenAI) -> None:
    listening.fake.push(Drop(), Drop())
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model=MODEL, messages=[HELLO], stream=stream)
        assert caught.value.status_code == 503


async def test_a_backend_killed_in_mid_stream_raises_instead_of_ending_well(
    listening: Listening, client: AsyncOpenAI
) -> None:
    begun = sse({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "Be"}}]})
    for broken in (Stream(chunks=[begun], drop=True), Stream(chunks=[begun])):
        listening.fake.push(broken)
        stream = await client.chat.completions.create(model=MODEL, messages=[HELLO], stream=True)
        chunks = aiter(stream)
        assert (await anext(chunks)).choices[0].delta.content == "Be"
        with pytest.raises(openai.APIError) as caught:
            await anext(chunks)
        assert caught.value.code == "backend_unavailable"


async def test_closing_a_stream_ends_the_backends_call(listening: Listening, client: AsyncOpenAI) -> None:
    begun = sse({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "Be"}}]})
    listening.fake.push(Stream(chunks=[begun, begun], gate=asyncio.Event()))
    stream = await client.chat.completions.create(model=MODEL, messages=[HELLO], stream=True)
    assert (await anext(aiter(stream))).choices
    await stream.close()
    async with asyncio.timeout(20):
        await listening.fake.until(lambda: listening.fake.left == 1)


@pytest.mark.parametrize("model", [SIMULATED, SIMULATED_BASE])
async def test_the_simulated_models_answer_streamed_and_not(sqlite_url: str, model: str) -> None:
    async with simulated(sqlite_url) as client, open_prompts(sqlite_url) as prompts:
        version = await add_version(prompts, "Give examples.", model=model, sampling={"temperature": 0})
        raw = await client.chat.completions.with_raw_response.create(model=model, messages=[HELLO], seed=3)
        whole = raw.parse()
        stream = await client.chat.completions.create(model=model, messages=[HELLO], seed=3, stream=True)
        chunks = [chunk async for chunk in stream]
        owners = {card.owned_by async for card in client.models.list()}

    assert raw.headers["x-drpo-prompt-version"] == version.id
    assert chunks[0].choices[0].delta.role == "assistant"
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    )
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert {chunk.model for chunk in chunks} == {model}
    assert owners == {"simulated"}


async def test_a_simulated_stream_that_breaks_raises(sqlite_url: str) -> None:
    async with simulated(sqlite_url, {"broken_stream": 1.0}) as client:
        for seed in range(8):
            stream = await client.chat.completions.create(
                model=SIMULATED, messages=[HELLO], seed=seed, stream=True
            )
            with pytest.raises(openai.APIError) as caught:
                async for _ in stream:
                    pass
            assert str(caught.value.code).startswith("backend_")
