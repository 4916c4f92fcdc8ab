"""What is announced of served requests, over real HTTP on both sides."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from typing_extensions import override

from app.outcomes import Outcome
from optimizer.types import JsonObject, Usage
from tests.app.chat.serving import (
    BASE_MODEL,
    MODEL,
    UPSTREAM_MODEL,
    Listening,
    add_version,
    question,
    serve_service,
)
from tests.fakes.openai_server import Answer, Reply, Stream, error, sse

PATH = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"
COUNTED = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def chunk(text: str) -> bytes:
    return sse({"id": "c", "model": UPSTREAM_MODEL, "choices": [{"index": 0, "delta": {"content": text}}]})


COUNT = sse({"id": "c", "model": UPSTREAM_MODEL, "choices": [], "usage": {**COUNTED}})


@pytest.fixture
def outcomes(listening: Listening) -> "asyncio.Queue[Outcome]":
    heard: asyncio.Queue[Outcome] = asyncio.Queue()
    listening.resources.outcomes.listen(heard.put_nowait)
    return heard


async def next_of(outcomes: "asyncio.Queue[Outcome]") -> Outcome:
    async with asyncio.timeout(20):
        return await outcomes.get()


async def test_an_answer_is_announced_with_its_tokens(
    listening: Listening, client: httpx.AsyncClient, outcomes: "asyncio.Queue[Outcome]"
) -> None:
    version = await add_version(listening.prompts)
    response = await client.post(PATH, json=question())
    told = await next_of(outcomes)
    assert (told.ending, told.error_code, told.streamed) == ("answered", None, False)
    assert told.request_id == response.headers["x-request-id"]
    assert (told.caller, told.endpoint) == ("local", PATH)
    assert (told.model, told.backend, told.upstream_model) == (MODEL, "upstream", UPSTREAM_MODEL)
    assert told.version_id == version.id
    assert told.usage == Usage(prompt_tokens=7, completion_tokens=5)
    assert told.first_seconds is None
    assert outcomes.empty()


@pytest.mark.parametrize("model", [MODEL, BASE_MODEL])
async def test_the_tokens_of_a_stream_are_counted_though_the_caller_did_not_ask(
    listening: Listening, client: httpx.AsyncClient, outcomes: "asyncio.Queue[Outcome]", model: str
) -> None:
    listening.fake.push(Stream(chunks=[chunk("a"), COUNT, DONE]))
    response = await client.post(PATH, json=question(stream=True, model=model))
    told = await next_of(outcomes)
    assert told.usage == Usage(prompt_tokens=7, completion_tokens=5)
    assert told.first_seconds is not None
    assert 0 < told.first_seconds <= told.seconds
    assert listening.fake.requests[0].body["stream_options"] == {"include_usage": True}
    assert b"usage" not in response.content
    assert response.content.endswith(DONE)


async def test_a_caller_that_asks_for_tokens_gets_them_once(
    listening: Listening, client: httpx.AsyncClient
) -> None:
    listening.fake.push(Stream(chunks=[chunk("a"), COUNT, DONE]))
    options = {"include_usage": True, "odd": 1}
    response = await client.post(PATH, json=question(stream=True, stream_options=options))
    assert listening.fake.requests[0].body["stream_options"] == options
    assert response.content.count(b"prompt_tokens") == 1


async def test_a_backend_that_counts_no_tokens_in_streams_is_not_asked_to(sqlite_url: str) -> None:
    can: JsonObject = {"usage_in_stream": False}
    async with (
        serve_service(sqlite_url, capabilities=can) as listening,
        httpx.AsyncClient(base_url=listening.url, trust_env=False) as client,
    ):
        await client.post(PATH, json=question(stream=True))
        assert "stream_options" not in listening.fake.requests[0].body


@pytest.mark.parametrize("options", [3, "yes", [True]])
async def test_options_of_a_stream_that_are_no_object_are_refused(
    client: httpx.AsyncClient, options: object
) -> None:
    response = await client.post(PATH, json=question(stream=True, stream_options=options))
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "stream_options"


@pytest.mark.parametrize(
    ("reply", "stream", "code"),
    [
        (error(503), False, "backend_unavailable"),
        (error(429), True, "rate_limit_exceeded"),
        (Answer(body={"no": "answer"}), False, "backend_malformed"),
        (Stream(chunks=[chunk("a")]), True, "backend_unavailable"),
        (Stream(chunks=[chunk("a"), b"data: x\n\n", DONE]), True, "backend_malformed"),
    ],
)
async def test_a_failure_is_announced_as_the_client_was_told(
    listening: Listening,
    client: httpx.AsyncClient,
    outcomes: "asyncio.Queue[Outcome]",
    reply: Reply,
    stream: bool,
    code: str,
) -> None:
    listening.fake.push(reply)
    await client.post(PATH, json=question(stream=stream))
    told = await next_of(outcomes)
    assert (told.ending, told.error_code, told.usage) == ("failed", code, None)
    assert outcomes.empty()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_is_announced(
    listening: Listening, client: httpx.AsyncClient, outcomes: "asyncio.Queue[Outcome]", stream: bool
) -> None:
    listening.fake.push(Answer(gate=asyncio.Event()))
    asking = asyncio.create_task(client.post(PATH, json=question(stream=stream)))
    await listening.fake.until(lambda: listening.fake.in_flight == 1)
    asking.cancel()
    await asyncio.wait({asking})
    assert (await next_of(outcomes)).ending == "client_left"


async def test_a_quiet_stream_is_kept_alive(sqlite_url: str) -> None:
    async with serve_service(sqlite_url, chat={"keep_alive_seconds": 0.02}) as listening:
        gate = asyncio.Event()
        listening.fake.push(Stream(chunks=[chunk("a"), DONE], gate=gate))
        client = httpx.AsyncClient(base_url=listening.url, trust_env=False, timeout=20)
        async with client, client.stream("POST", PATH, json=question(stream=True)) as response:
            pieces = response.aiter_bytes()
            seen = b""
            while seen.count(b": keep-alive\n\n") < 3:
                seen += await anext(pieces)
            gate.set()
            seen += b"".join([piece async for piece in pieces])
    assert seen.replace(b": keep-alive\n\n", b"").count(b"data: ") == 2
    assert seen.endswith(DONE)


async def test_a_stalled_stream_ends_with_an_error_though_its_connection_is_alive(sqlite_url: str) -> None:
    timeouts: JsonObject = {"idle_seconds": 0.1}
    async with (
        serve_service(sqlite_url, backend={"timeouts": timeouts}) as listening,
        httpx.AsyncClient(base_url=listening.url, trust_env=False, timeout=20) as client,
    ):
        listening.fake.push(Stream(chunks=[chunk("a"), DONE], gate=asyncio.Event()))
        response = await client.post(PATH, json=question(stream=True))
        assert b"backends.upstream.timeouts.idle_seconds" in response.content
        assert DONE not in response.content
        async with asyncio.timeout(20):
            await listening.fake.until(lambda: listening.fake.left == 1)


async def test_a_stream_that_does_not_begin_in_time_has_a_status(sqlite_url: str) -> None:
    timeouts: JsonObject = {"first_token_seconds": 0.1}
    async with (
        serve_service(sqlite_url, backend={"timeouts": timeouts}) as listening,
        httpx.AsyncClient(base_url=listening.url, trust_env=False, timeout=20) as client,
    ):
        listening.fake.push(Answer(gate=asyncio.Event()))
        response = await client.post(PATH, json=question(stream=True))
        assert response.status_code == 503
        assert "first_token_seconds" in response.json()["error"]["message"]


async def test_a_client_that_does_not_read_holds_the_backend_back(
    listening: Listening, client: httpx.AsyncClient
) -> None:
    frames = [chunk("x" * 60_000)] * 1000
    sent = 0

    class Counted(list[bytes]):
        @override
        def __iter__(self) -> Iterator[bytes]:
            nonlocal sent
            for frame in frames:
                sent += 1
                yield frame
            yield DONE

    listening.fake.push(Stream(chunks=Counted()))
    async with client.stream("POST", PATH, json=question(stream=True)) as response:
        pieces = response.aiter_bytes()
        await anext(pieces)
        before = -1
        while sent != before:  # the connections' buffers fill, and then nothing moves
            before = sent
            for _ in range(2000):
                await asyncio.sleep(0)
        assert sent < 900
        length = 0
        async for piece in pieces:
            length += len(piece)
    assert sent == len(frames)
    assert length > 50_000_000
