"""The official SDK on structured output, responses, completions and embeddings; real HTTP on both sides."""

from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import FunctionToolParam, ResponseFunctionToolCall
from pydantic import BaseModel

from optimizer.types import JsonObject
from tests.app.chat.serving import (
    BASE_MODEL,
    EXAMPLES,
    MODEL,
    Listening,
    add_version,
    serve_service,
)
from tests.e2e.sdk import HELLO, SIMULATED, SIMULATED_BASE, sdk, simulated
from tests.fakes.openai_server import Answer, Stream, sse


class Reasons(BaseModel):
    """What a structured answer holds."""

    reasons: list[str]


REASONS = Reasons(reasons=["a", "b"])


@pytest.fixture
async def listening(sqlite_url: str) -> AsyncIterator[Listening]:
    async with serve_service(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(listening: Listening) -> AsyncIterator[AsyncOpenAI]:
    async with sdk(listening.url) as opened:
        yield opened


def finished(message: JsonObject) -> Answer:
    """A chat completion with ``message``."""
    choice: JsonObject = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    about: JsonObject = {"id": "c", "model": "vendor-model-1", "created": 1, "object": "chat.completion"}
    return Answer(body={**about, "choices": [choice]})


async def test_structured_output_is_parsed(listening: Listening, client: AsyncOpenAI) -> None:
    await add_version(listening.prompts)
    listening.fake.push(*[finished({"content": REASONS.model_dump_json()})] * 2)
    told = await client.chat.completions.parse(model=MODEL, messages=[HELLO], response_format=Reasons)
    assert told.choices[0].message.parsed == REASONS
    response = await client.responses.parse(model=MODEL, input="Why?", text_format=Reasons)
    assert response.output_parsed == REASONS
    first, second = (exchange.body["response_format"] for exchange in listening.fake.requests)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["type"] == second["type"] == "json_schema"
    assert isinstance(first["json_schema"], dict)
    assert isinstance(second["json_schema"], dict)
    assert first["json_schema"]["schema"] == second["json_schema"]["schema"]


async def test_a_response_is_read_whole_and_streamed(listening: Listening, client: AsyncOpenAI) -> None:
    version = await add_version(listening.prompts, "Be kind.", examples=EXAMPLES)
    raw = await client.responses.with_raw_response.create(
        model=MODEL, input="Why is the sea blue?", instructions="In rhyme."
    )
    whole = raw.parse()
    assert raw.headers["x-drpo-prompt-version"] == version.id
    assert (whole.model, whole.status) == (MODEL, "completed")
    assert whole.output_text.startswith("an answer")
    assert whole.usage is not None
    assert whole.usage.total_tokens == 12

    numbers, pieces = [], []
    async with client.responses.stream(model=MODEL, input="Why is the sea blue?") as stream:
        async for event in stream:
            numbers.append(event.sequence_number)
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
        final = await stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert "".join(pieces) == final.output_text != ""
    assert final.status == "completed"


async def test_a_response_calls_functions_and_takes_their_outputs(
    listening: Listening, client: AsyncOpenAI
) -> None:
    call: JsonObject = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    listening.fake.push(finished({"content": None, "tool_calls": [call]}))
    tool: FunctionToolParam = {
        "type": "function",
        "name": "weather",
        "parameters": {"type": "object", "properties": {}},
        "strict": False,
    }
    first = await client.responses.create(model=MODEL, input="Rain?", tools=[tool])
    [asked] = first.output
    assert isinstance(asked, ResponseFunctionToolCall)
    assert (asked.name, asked.call_id) == ("weather", "t1")

    second = await client.responses.create(
        model=MODEL,
        input=[
            {"role": "user", "content": "Rain?"},
            {"type": "function_call", "call_id": "t1", "name": asked.name, "arguments": asked.arguments},
            {"type": "function_call_output", "call_id": "t1", "output": "rain"},
        ],
        tools=[tool],
    )
    assert second.output_text
    assert listening.fake.requests[-1].body["messages"] == [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
    ]


async def test_a_streamed_response_that_breaks_raises(listening: Listening, client: AsyncOpenAI) -> None:
    begun = sse({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "Be"}}]})
    listening.fake.push(Stream(chunks=[begun], drop=True))
    stream = await client.responses.create(model=MODEL, input="Hi", stream=True)
    kinds: list[str] = []

    async def read() -> None:
        async for event in stream:
            kinds.append(event.type)  # noqa: PERF401 - what came before the break counts

    with pytest.raises(openai.APIError) as caught:
        await read()
    assert caught.value.code == "backend_unavailable"
    assert "response.output_text.delta" in kinds
    assert "response.completed" not in kinds


async def test_what_responses_cannot_do_is_a_bad_request(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=MODEL, input="Hi", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"


async def test_a_prompt_object_is_resolved_from_the_store(listening: Listening, client: AsyncOpenAI) -> None:
    version = await add_version(listening.prompts, "Be {{how}}.")
    raw = await client.responses.with_raw_response.create(
        input="Hi", prompt={"id": version.id, "version": "1", "variables": {"how": "brief"}}
    )
    assert raw.headers["x-drpo-prompt-version"] == version.id
    assert raw.parse().model == MODEL
    assert "Be brief." in str(listening.fake.requests[-1].body)


async def test_texts_are_completed_whole_and_streamed(listening: Listening, client: AsyncOpenAI) -> None:
    whole = await client.completions.create(model=BASE_MODEL, prompt="The sea is", max_tokens=9)
    assert (whole.model, whole.choices[0].index) == (BASE_MODEL, 0)
    assert whole.choices[0].text.startswith("an answer")
    begun = sse({"id": "c", "model": "m", "choices": [{"index": 0, "text": "blue"}]})
    listening.fake.push(Stream(chunks=[begun, b"data: [DONE]\n\n"]))
    stream = await client.completions.create(model=BASE_MODEL, prompt="The sea is", stream=True)
    assert [chunk.choices[0].text async for chunk in stream] == ["blue"]
    assert listening.fake.requests[-1].path == "/v1/completions"


@pytest.mark.parametrize("model", [SIMULATED, SIMULATED_BASE])
async def test_the_simulated_models_respond_and_complete(sqlite_url: str, model: str) -> None:
    asked = "Why is the sea blue?"
    async with simulated(sqlite_url) as client:
        whole = await client.responses.create(model=model, input=asked, temperature=0)
        async with client.responses.stream(model=model, input=asked, temperature=0) as stream:
            final = await stream.get_final_response()
        text = await client.completions.create(model=model, prompt=asked, temperature=0)
    assert whole.output_text
    assert whole.output_text == final.output_text
    assert whole.usage is not None
    assert final.usage == whole.usage
    assert text.choices[0].text


async def test_the_simulated_embedder_embeds(sqlite_url: str) -> None:
    async with simulated(sqlite_url) as client:
        models = [card.id async for card in client.models.list()]
        # the SDK asks for base64 unless told otherwise, and decodes it
        told = await client.embeddings.create(model=models[-1], input=["ocean", "oceans", "kettle"])
        floats = await client.embeddings.create(model=models[-1], input="ocean", encoding_format="float")
    vectors = [item.embedding for item in told.data]
    assert models[-1] == told.model == "simulated-embedder"
    assert vectors[0] == pytest.approx(floats.data[0].embedding, abs=1e-6)
    near, far = (sum(a * b for a, b in zip(vectors[0], other, strict=True)) for other in vectors[1:])
    assert near > far


async def test_an_embedder_is_no_chat_model(sqlite_url: str) -> None:
    async with simulated(sqlite_url) as client:
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="simulated-embedder", messages=[HELLO])
        with pytest.raises(openai.NotFoundError):
            await client.embeddings.create(model=SIMULATED, input="sea")
