import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.capabilities import Capabilities
from app.llm.connections import TransportConnections
from app.llm.errors import NeverSentError
from app.llm.http import BackendClient
from app.settings import BackendSettings
from optimizer.concurrency import run_together
from optimizer.errors import (
    BackendUnavailableError,
    MalformedResponseError,
    MisconfiguredError,
    ModelError,
    RateLimitedError,
    RequestRefusedError,
)
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult, Message, Usage
from tests.app.llm.opening import KEY, backend_settings, open_adapter
from tests.app.llm.scripted import small_request
from tests.fakes.openai_server import Answer, Drop, FakeOpenAIServer, Stream, error, serve, well_behaved


async def test_the_request_reaches_the_server_as_it_should() -> None:
    async with serve() as fake, open_adapter(backend_settings(fake)) as model:
        result = await model.complete(small_request("hello", n=2, seed=5))
    (exchange,) = fake.requests
    assert exchange.path == "/v1/chat/completions"
    assert exchange.headers["authorization"] == f"Bearer {KEY.get_secret_value()}"
    assert exchange.headers["content-type"] == "application/json"
    assert exchange.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 10,
        "seed": 5,
        "n": 2,
    }
    assert len({completion.text for completion in result.completions}) == 2
    assert result.usage == Usage(prompt_tokens=7, completion_tokens=10)
    assert model.name == "b/m"


async def test_a_base_model_is_asked_over_plain_completions() -> None:
    async with serve() as fake, open_adapter(backend_settings(fake), api="completions") as model:
        result = await model.complete(CompletionRequest(prompt="Once upon", seed=1))
    assert fake.requests[0].path == "/v1/completions"
    assert fake.requests[0].body == {"model": "m", "prompt": "Once upon", "seed": 1}
    assert result.completions[0].text.startswith("an answer")


async def test_the_base_url_may_end_in_a_slash() -> None:
    async with serve() as fake:
        settings = backend_settings(fake, base_url=fake.url + "/")
        async with open_adapter(settings) as model:
            await model.complete(small_request())
    assert fake.requests[0].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("base", "sent"),
    [
        ("", "/chat/completions"),
        ("/", "/chat/completions"),
        ("/a%2Fb/v1", "/a%2Fb/v1/chat/completions"),
        ("/p%3Fq/", "/p%3Fq/chat/completions"),
        ("/v1?version=2", "/v1/chat/completions?version=2"),
    ],
)
async def test_a_base_url_stays_as_it_was_written(base: str, sent: str) -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return httpx.Response(200, content=b"{}")

    settings = BackendSettings.model_validate({"base_url": f"http://127.0.0.1:9{base}"})
    client = BackendClient(settings, key=None)
    client.connections = TransportConnections(httpx.MockTransport(answer), settings.timeouts)
    for _ in range(2):
        await client.send("chat/completions", b"{}")
    await client.aclose()
    assert seen == [sent.encode()] * 2


@pytest.mark.parametrize(
    ("reply", "kind", "status"),
    [
        (error(400), RequestRefusedError, 400),
        (error(401), MisconfiguredError, 401),
        (error(404, "no such model", code="model_not_found"), MisconfiguredError, 404),
        (error(429), RateLimitedError, 429),
        (error(500), BackendUnavailableError, 500),
        (Answer(status=302, headers={"location": "/elsewhere"}), MisconfiguredError, 302),
        (Answer(body={"error": {"message": "overloaded", "code": 503}}), BackendUnavailableError, 503),
        (Answer(body=b"<html>"), MalformedResponseError, None),
        (Answer(status=204, body=b""), MalformedResponseError, None),
        (Drop(), BackendUnavailableError, None),
        (Stream(chunks=[b'{"choices": ['], content_type="application/json", drop=True), ModelError, None),
    ],
)
async def test_a_bad_answer_is_an_error_of_its_kind(
    reply: Answer | Drop | Stream, kind: type[ModelError], status: int | None
) -> None:
    async with serve() as fake, open_adapter(backend_settings(fake)) as model:
        fake.push(reply)
        with pytest.raises(kind) as caught:
            await model.complete(small_request())
    assert caught.value.status == status
    assert not isinstance(caught.value, NeverSentError)
    assert KEY.get_secret_value() not in str(caught.value)
    assert len(fake.requests) == 1


async def test_the_wait_that_the_server_asks_for_is_kept() -> None:
    async with serve() as fake, open_adapter(backend_settings(fake)) as model:
        fake.push(error(429, retry_after="3"), error(429, retry_after_ms="1500"))
        waits = []
        for _ in range(2):
            with pytest.raises(RateLimitedError) as caught:
                await model.complete(small_request())
            waits.append(caught.value.retry_after)
    assert waits == [3.0, 1.5]


async def test_a_request_that_reached_nobody_is_told_apart() -> None:
    async with serve() as fake:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        settings = backend_settings(fake, base_url=f"http://127.0.0.1:{port}/v1")
        async with open_adapter(settings) as model:
            with pytest.raises(NeverSentError, match=r"backends\.b\.base_url"):
                await model.complete(small_request())


async def test_a_keep_alive_connection_that_the_server_has_cut_is_not_an_unsent_request() -> None:
    async with serve() as fake, open_adapter(backend_settings(fake)) as model:
        await model.complete(small_request())
        fake.push(Drop())
        with pytest.raises(BackendUnavailableError) as caught:
            await model.complete(small_request())
    assert not isinstance(caught.value, NeverSentError)
    assert len(fake.requests) == 2


@pytest.mark.parametrize("limit", ["read_seconds", "total_seconds"])
async def test_a_server_that_says_nothing_is_given_up(limit: str) -> None:
    async with serve() as fake:
        fake.push(Answer(gate=asyncio.Event()))
        settings = backend_settings(fake, timeouts={limit: 0.05})
        async with open_adapter(settings) as model:
            with pytest.raises(BackendUnavailableError, match=r"backends\.b\.timeouts"):
                await model.complete(small_request())
        await fake.until(lambda: fake.left == 1)


async def test_a_response_without_end_is_refused() -> None:
    async with serve() as fake, open_adapter(backend_settings(fake, max_response_bytes=1024)) as model:
        fake.push(Answer(body=b" " * 5000))
        with pytest.raises(MalformedResponseError, match=r"backends\.b\.max_response_bytes"):
            await model.complete(small_request())


async def test_a_cancelled_call_closes_its_connection() -> None:
    async with serve() as fake, open_adapter(backend_settings(fake)) as model:
        fake.push(Answer(gate=asyncio.Event()))
        call = asyncio.ensure_future(model.complete(small_request()))
        await fake.until(lambda: fake.in_flight == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await fake.until(lambda: fake.left == 1)


async def test_text_that_is_no_unicode_is_refused_before_it_is_sent() -> None:
    async with serve() as fake, open_adapter(backend_settings(fake)) as model:
        with pytest.raises(RequestRefusedError, match="cannot be sent"):
            await model.complete(CompletionRequest(prompt=(Message(role="user", content="\ud800"),)))
    assert fake.requests == []


@pytest.mark.parametrize("takes_priorities", [True, False])
async def test_a_job_goes_behind_users_where_the_backend_takes_priorities(takes_priorities: bool) -> None:
    can = Capabilities(priority=takes_priorities)
    async with serve() as fake, open_adapter(backend_settings(fake), capabilities=can) as model:
        fake.script = well_behaved
        await model.complete(small_request())
    assert fake.requests[0].body.get("priority") == (1 if takes_priorities else None)


async def test_hundreds_of_calls_are_in_flight_at_once() -> None:
    gate = asyncio.Event()
    async with serve() as fake, open_adapter(backend_settings(fake)) as model:
        fake.push(*(Answer(body=b"{}", status=503, gate=gate) for _ in range(300)))

        async def one() -> None:
            with pytest.raises(BackendUnavailableError):
                await model.complete(small_request())

        async def open_when_all_are_there() -> None:
            await fake.until(lambda: fake.in_flight == 300)
            gate.set()

        await run_together([*(one() for _ in range(300)), open_when_all_are_there()])
    assert fake.most_in_flight == 300


@pytest.fixture
async def garbling() -> AsyncIterator[tuple[FakeOpenAIServer, ChatModel]]:
    async with serve() as fake, open_adapter(backend_settings(fake)) as model:
        yield fake, model


@given(content=st.binary(max_size=300), status=st.sampled_from([200, 201, 400, 404, 429, 500]))
async def test_whatever_a_server_sends_is_a_result_or_a_model_error(
    garbling: tuple[FakeOpenAIServer, ChatModel], content: bytes, status: int
) -> None:
    fake, model = garbling
    fake.push(Answer(status=status, body=content))
    try:
        answer = await model.complete(small_request())
    except ModelError:
        return
    assert isinstance(answer, CompletionResult)
