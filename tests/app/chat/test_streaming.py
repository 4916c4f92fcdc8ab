"""The chat endpoint over real HTTP on both sides, where streams and connections break."""

import asyncio
import json

import httpx
import pytest

from app.answer_ids import token_of
from tests.app.chat.serving import (
    BASE_MODEL,
    MODEL,
    UPSTREAM_MODEL,
    Listening,
    add_version,
    question,
)
from tests.fakes.openai_server import Answer, Drop, Reply, Stream, error, sse

DONE = b"data: [DONE]\n\n"
PATH = "/v1/chat/completions"


def chunk(text: str, *, model: str = UPSTREAM_MODEL) -> bytes:
    event = {"id": "c", "model": model, "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"


async def streamed(client: httpx.AsyncClient, model: str = MODEL) -> httpx.Response:
    return await client.post(PATH, json=question(stream=True, model=model))


def events(response: httpx.Response) -> list[dict[str, object]]:
    """The JSON events of a stream."""
    frames = response.content.removesuffix(DONE).split(b"\n\n")
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames if frame]


async def test_a_stream_says_who_answers_and_ends_with_done(
    listening: Listening, client: httpx.AsyncClient
) -> None:
    version = await add_version(listening.prompts)
    listening.fake.push(Stream(chunks=[chunk("a"), chunk("b"), DONE]))
    response = await streamed(client)

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-drpo-prompt-version"] == version.id
    assert response.headers["x-drpo-upstream-model"] == UPSTREAM_MODEL
    assert response.headers["x-request-id"]
    told = events(response)
    assert len({event["id"] for event in told}) == 1
    assert token_of(str(told[0]["id"])) is not None
    same = {"model": MODEL, "id": told[0]["id"]}
    assert told == [json.loads(chunk(text)[6:]) | same for text in "ab"]
    assert response.content.endswith(DONE)
    assert listening.fake.requests[0].body["stream"] is True


@pytest.mark.parametrize("place", [1, 3])
async def test_what_came_before_a_bad_frame_is_sent_though_both_came_together(
    listening: Listening, client: httpx.AsyncClient, place: int
) -> None:
    frames = [*(chunk(text) for text in "abcde"[:place]), b"data: {\n\n", chunk("z"), DONE]
    listening.fake.push(Stream(chunks=[b"".join(frames)]))
    response = await streamed(client)
    assert response.status_code == 200
    *told, last = events(response)
    texts = [event["choices"][0]["delta"]["content"] for event in told]  # type: ignore[index]
    assert texts == [*"abcde"[:place]]
    assert last["error"]["code"] == "backend_malformed"  # type: ignore[index]
    assert DONE not in response.content


async def test_each_frame_comes_when_the_backend_sends_it(
    listening: Listening, client: httpx.AsyncClient
) -> None:
    gate = asyncio.Event()
    listening.fake.push(Stream(chunks=[chunk("a"), chunk("b"), DONE], gate=gate))
    async with client.stream("POST", PATH, json=question(stream=True)) as response:
        pieces = response.aiter_bytes()
        assert b'"a"' in await anext(pieces)
        gate.set()
        assert b"".join([piece async for piece in pieces]).endswith(DONE)


async def test_a_base_models_stream_has_the_shape_of_chat(
    listening: Listening, client: httpx.AsyncClient
) -> None:
    texts = [sse({"model": "vendor-base-1", "choices": [{"index": 0, "text": text}]}) for text in "ab"]
    listening.fake.push(Stream(chunks=[*texts, DONE]))
    response = await streamed(client, model=BASE_MODEL)
    assert response.headers["x-drpo-upstream-model"] == "vendor-base-1"
    told = events(response)
    assert [event["model"] for event in told] == [BASE_MODEL, BASE_MODEL]
    assert [event["object"] for event in told] == ["chat.completion.chunk"] * 2
    deltas = [choice["delta"] for event in told for choice in event["choices"]]  # type: ignore[attr-defined]
    assert deltas == [{"role": "assistant", "content": "a"}, {"content": "b"}]
    assert response.content.endswith(DONE)


BREAKS = {
    "killed": (Stream(chunks=[chunk("a")], drop=True), "backend_unavailable"),
    "ended early": (Stream(chunks=[chunk("a")]), "backend_unavailable"),
    "cut in a frame": (Stream(chunks=[chunk("a"), chunk("b")[:20]]), "backend_unavailable"),
    "error event": (
        Stream(chunks=[chunk("a"), sse({"error": {"message": "overloaded", "code": 503}})]),
        "backend_unavailable",
    ),
    "rate limited": (
        Stream(chunks=[chunk("a"), sse({"error": {"message": "slow down", "code": 429}}), DONE]),
        "rate_limit_exceeded",
    ),
    "no JSON": (Stream(chunks=[chunk("a"), b"data: hello\n\n", DONE]), "backend_malformed"),
    "no object": (Stream(chunks=[chunk("a"), b"data: [1]\n\n", DONE]), "backend_malformed"),
}


@pytest.mark.parametrize("name", list(BREAKS))
async def test_a_break_is_an_error_event_and_no_clean_end(
    listening: Listening, client: httpx.AsyncClient, name: str
) -> None:
    reply, code = BREAKS[name]
    listening.fake.push(reply)
    response = await streamed(client)

    assert response.status_code == 200
    assert DONE not in response.content
    first, last = events(response)
    assert first["model"] == MODEL
    assert list(last) == ["error"]
    told = last["error"]
    assert isinstance(told, dict)
    assert set(told) == {"message", "type", "param", "code"}
    assert told["code"] == code


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Drop(), 503),
        (error(400, "too long"), 400),
        (error(429, retry_after="3"), 429),
        (error(401, "bad key"), 502),
        (Stream(chunks=[]), 503),
        (Stream(chunks=[b": ping\n\n"]), 503),
        (Stream(chunks=[sse({"error": {"message": "in 200"}})]), 503),
        (Stream(chunks=[b"data: hello\n\n"]), 502),
        (Stream(chunks=[chunk("a")], content_type="text/html"), 502),
        (Answer(body={"choices": []}), 502),
    ],
)
async def test_a_stream_that_never_begins_has_a_status_of_its_own(
    listening: Listening, client: httpx.AsyncClient, reply: Reply, status: int
) -> None:
    listening.fake.push(reply)
    response = await streamed(client)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_client_that_leaves_a_stalled_stream_ends_the_backends_call(
    listening: Listening, client: httpx.AsyncClient
) -> None:
    listening.fake.push(Stream(chunks=[chunk("a"), chunk("b")], gate=asyncio.Event()))
    async with client.stream("POST", PATH, json=question(stream=True)) as response:
        assert b'"a"' in await anext(response.aiter_bytes())
    await backend_sees_the_leaving(listening)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_before_any_answer_ends_the_backends_call(
    listening: Listening, client: httpx.AsyncClient, stream: bool
) -> None:
    listening.fake.push(Answer(gate=asyncio.Event()))
    asking = asyncio.create_task(client.post(PATH, json=question(stream=stream)))
    await listening.fake.until(lambda: listening.fake.in_flight == 1)
    asking.cancel()
    await asyncio.wait({asking})
    await backend_sees_the_leaving(listening)


async def test_a_client_that_leaves_while_it_still_sends_reaches_nobody(
    listening: Listening, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = client.base_url.host, client.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    writer.write_eof()
    await reader.read()
    writer.close()
    await writer.wait_closed()
    assert (await client.get("/livez")).status_code == 200
    assert listening.fake.requests == []
    assert "failed" not in caplog.text


async def backend_sees_the_leaving(listening: Listening) -> None:
    async with asyncio.timeout(20):
        await listening.fake.until(lambda: listening.fake.left == 1)
