"""Chat with several backends behind one model, over real HTTP on both sides."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from app.access.key_limits import KeyLimits, Period, Quota
from app.llm.routing.circuit import CircuitState
from app.resources import open_resources
from app.server import embedded_app
from optimizer.types import JsonObject, Usage
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.routed import FIRST_MODEL, PATH, SECOND_MODEL, Routed, serve_routed, settings_of
from tests.app.chat.serving import MODEL, add_version, question
from tests.fakes.openai_server import Answer, Drop, Reply, Stream, error, serve, sse

DONE = b"data: [DONE]\n\n"


def chunk(text: str) -> bytes:
    return sse({"id": "c", "model": FIRST_MODEL, "choices": [{"index": 0, "delta": {"content": text}}]})


@pytest.fixture
async def routed(sqlite_url: str) -> AsyncIterator[Routed]:
    async with serve_routed(sqlite_url) as opened:
        yield opened


def way(response: httpx.Response) -> tuple[str, str, str]:
    """What an answer says about its way."""
    names = ("x-drpo-backend", "x-drpo-attempts", "x-drpo-fallback")
    return response.headers[names[0]], response.headers[names[1]], response.headers[names[2]]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_route_answers(routed: Routed, stream: bool) -> None:
    version = await add_version(routed.resources.prompts)
    response = await routed.ask(stream=stream)
    assert response.status_code == 200
    assert way(response) == ("first", "1", "false")
    assert response.headers["x-drpo-upstream-model"] == FIRST_MODEL
    assert response.headers["x-drpo-prompt-version"] == version.id
    assert not routed.second.requests
    told = await routed.outcome()
    assert (told.backend, told.upstream_model, told.attempts) == ("first", FIRST_MODEL, 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "reply",
    [
        Drop(),
        error(500),
        error(503, retry_after="30"),
        error(429),
        error(429, retry_after="30"),
        error(401, "bad key"),
        Answer(body=b"<html>"),
        Answer(body={"error": {"message": "in a 200"}}),
        Stream(chunks=[]),
        Stream(chunks=[sse({"error": {"message": "in a 200"}})]),
        Stream(chunks=[b"data: hello\n\n"]),
    ],
)
async def test_the_fallback_answers_what_the_first_route_does_not(
    routed: Routed, reply: Reply, stream: bool
) -> None:
    version = await add_version(routed.resources.prompts)
    routed.first.push(reply)
    response = await routed.ask(stream=stream)
    assert response.status_code == 200
    assert way(response) == ("second", "2", "true")
    assert response.headers["x-drpo-upstream-model"] == SECOND_MODEL
    first, second = routed.first.requests[0].body, routed.second.requests[0].body
    assert (first.pop("model"), second.pop("model")) == (FIRST_MODEL, SECOND_MODEL)
    assert first == second
    told = await routed.outcome()
    assert (told.ending, told.error_code, told.attempts) == ("answered", None, 2)
    assert (told.backend, told.upstream_model) == ("second", SECOND_MODEL)
    assert told.version_id == version.id
    assert routed.heard.empty()


async def test_a_backend_that_is_not_there_is_passed_by(sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        dead = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    async with serve() as second:
        settings = settings_of(sqlite_url, dead, second.url)
        async with (
            open_resources(settings) as resources,
            embedded_app(resources) as url,
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client,
        ):
            responses = [await client.post(PATH, json=question()) for _ in range(7)]
    assert [response.status_code for response in responses] == [200] * 7
    assert [way(response)[1] for response in responses] == ["2"] * 5 + ["1"] * 2


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_caller_has_got_wrong_is_asked_once(routed: Routed, stream: bool) -> None:
    routed.first.push(error(400, "too long"))
    response = await routed.ask(stream=stream)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "backend_refused"
    assert not routed.second.requests
    assert (await routed.outcome()).attempts == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_where_nobody_answers_the_last_error_is_told(routed: Routed, stream: bool) -> None:
    routed.first.push(error(500, "first"))
    routed.second.push(error(429, "second", retry_after="7"))
    response = await routed.ask(stream=stream)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
    assert way(response) == ("second", "2", "true")
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert "second" in response.json()["error"]["message"]
    told = await routed.outcome()
    assert (told.ending, told.error_code, told.attempts) == ("failed", "rate_limit_exceeded", 2)
    assert routed.heard.empty()


async def test_after_the_first_frame_nobody_else_is_asked(routed: Routed) -> None:
    routed.first.push(Stream(chunks=[chunk("a"), chunk("b")], drop=True))
    response = await routed.ask(stream=True)
    assert response.status_code == 200
    assert DONE not in response.content
    assert b"backend_unavailable" in response.content
    assert not routed.second.requests
    assert (await routed.outcome()).ending == "failed"
    assert routed.circuit().failures == 1


async def test_a_stream_that_does_not_begin_in_time_begins_elsewhere(sqlite_url: str) -> None:
    gate = asyncio.Event()
    patience: JsonObject = {"timeouts": {"first_token_seconds": 0.2}}
    async with serve_routed(sqlite_url, backend=patience) as routed:
        routed.first.push(Stream(chunks=[b": wait\n\n", chunk("late"), DONE], gate=gate))
        response = await routed.ask(stream=True)
        assert way(response) == ("second", "2", "true")
        assert response.content.endswith(DONE)
        await routed.first.until(lambda: routed.first.in_flight == 0)
        assert routed.first.left == 1


async def test_a_stream_that_nobody_reads_any_more_is_left_at_once(routed: Routed) -> None:
    gate = asyncio.Event()
    routed.first.push(Stream(chunks=[b"data: hello\n\n", chunk("never")], gate=asyncio.Event()))
    routed.second.push(Stream(chunks=[chunk("a"), chunk("b"), DONE], gate=gate))
    async with routed.client.stream("POST", PATH, json=question(stream=True)) as response:
        assert way(response) == ("second", "2", "true")
        async with asyncio.timeout(20):
            await routed.first.until(lambda: routed.first.left == 1)
        gate.set()
        assert (await response.aread()).endswith(DONE)


async def test_a_circuit_opens_and_closes_again(routed: Routed) -> None:
    routed.first.push(*[error(500)] * 5)
    for _ in range(5):
        assert way(await routed.ask()) == ("second", "2", "true")
    assert routed.circuit().state is CircuitState.OPEN
    assert way(await routed.ask()) == ("second", "1", "true")
    assert len(routed.first.requests) == 5

    routed.clock.tick(5)
    routed.first.push(error(500))
    assert way(await routed.ask()) == ("second", "2", "true")
    assert routed.circuit().state is CircuitState.OPEN
    routed.clock.tick(5)
    assert way(await routed.ask()) == ("second", "1", "true")
    routed.clock.tick(5)
    assert way(await routed.ask()) == ("first", "1", "false")
    assert routed.circuit().state is CircuitState.CLOSED


async def test_one_request_at_a_time_tries_a_backend_again(routed: Routed) -> None:
    routed.first.push(*[error(500)] * 5)
    for _ in range(5):
        await routed.ask()
    routed.clock.tick(5)
    gate = asyncio.Event()
    routed.first.push(Answer(body={"choices": []}, gate=gate))
    trial = asyncio.ensure_future(routed.ask())
    await routed.first.until(lambda: routed.first.in_flight == 1)
    others = [await routed.ask() for _ in range(3)]
    assert {way(response) for response in others} == {("second", "1", "true")}
    gate.set()
    assert way(await trial) == ("first", "1", "false")
    assert routed.circuit().state is CircuitState.CLOSED


async def test_a_client_that_leaves_a_trial_does_not_keep_the_circuit_open(routed: Routed) -> None:
    routed.first.push(*[error(500)] * 5)
    for _ in range(5):
        await routed.ask()
    routed.clock.tick(5)
    routed.first.push(Answer(gate=asyncio.Event()))
    trial = asyncio.ensure_future(routed.ask())
    await routed.first.until(lambda: routed.first.in_flight == 1)
    trial.cancel()
    await routed.first.until(lambda: routed.first.left == 1)
    for _ in range(5):
        await routed.outcome()
    assert (await routed.outcome()).ending == "client_left"
    assert way(await routed.ask()) == ("first", "1", "false")


@pytest.mark.parametrize("stream", [False, True])
async def test_where_all_circuits_are_open_nobody_waits(routed: Routed, stream: bool) -> None:
    routed.first.push(error(429, retry_after="30"))
    routed.second.push(error(429, retry_after="20"))
    await routed.ask()
    await routed.outcome()
    response = await routed.ask(stream=stream)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "20"
    assert response.json()["error"]["code"] == "backend_unavailable"
    assert (len(routed.first.requests), len(routed.second.requests)) == (1, 1)
    told = await routed.outcome()
    assert (told.ending, told.error_code, told.micros) == ("failed", "backend_unavailable", 0)
    assert told.counted == Usage(prompt_tokens=0, completion_tokens=0)


async def test_attempts_that_may_be_billed_are_counted_in_one_row(routed: Routed) -> None:
    routed.first.push(Drop())
    await routed.ask(max_tokens=10)
    told = await routed.outcome()
    # a lost connection may have been answered and billed: a token for each byte that was sent
    assert told.counted.prompt_tokens > 7 + 50
    assert told.counted.completion_tokens == 10 + 5
    assert told.estimated
    assert told.usage == Usage(prompt_tokens=7, completion_tokens=5)
    assert told.micros == told.counted.prompt_tokens + told.counted.completion_tokens


async def test_an_attempt_that_was_refused_costs_nothing(routed: Routed) -> None:
    routed.first.push(error(500))
    await routed.ask(max_tokens=10)
    told = await routed.outcome()
    assert told.counted == Usage(prompt_tokens=7, completion_tokens=5)
    assert not told.estimated


@pytest.mark.parametrize(("tokens", "status", "attempts"), [(1000, 200, 2), (200, 503, 1)])
async def test_an_attempt_is_made_only_where_the_quota_has_room_for_it(
    sqlite_url: str, tokens: int, status: int, attempts: int
) -> None:
    async with serve_routed(sqlite_url) as routed:
        quota = Quota(period=Period.TOTAL, tokens=tokens)
        key, _ = await add_key(routed.resources.access.keys, limits=KeyLimits(quotas=(quota,)))
        routed.first.push(Drop())
        response = await routed.client.post(PATH, json=question(max_tokens=10), headers=bearer(key))
        assert response.status_code == status
        assert len(routed.first.requests) + len(routed.second.requests) == attempts
        told = await routed.outcome()
        assert told.counted.completion_tokens == 10 + 5 * (attempts - 1)


async def test_requests_are_shared_by_weight(sqlite_url: str) -> None:
    target: JsonObject = {
        "weight": 0,
        "routes": [{"backend": "second", "model": SECOND_MODEL, "weight": 2}],
        "fallbacks": [],
    }
    async with serve_routed(sqlite_url, target=target) as routed:
        for _ in range(5):
            assert (await routed.ask()).status_code == 200
        assert not routed.first.requests


async def test_what_a_fallback_cannot_be_asked_ends_with_the_first_error(sqlite_url: str) -> None:
    target: JsonObject = {"fallbacks": [{"backend": "second", "model": SECOND_MODEL, "api": "completions"}]}
    async with serve_routed(sqlite_url, target=target) as routed:
        routed.first.push(error(500, "first"), error(500, "first"))
        response = await routed.ask(tools=[{"type": "function"}])
        assert response.status_code == 503
        assert not routed.second.requests
        answer = await routed.ask()
        assert answer.json()["choices"][0]["message"]["role"] == "assistant"
        assert answer.json()["model"] == MODEL
        assert way(answer) == ("second", "2", "true")


async def test_a_route_that_cannot_be_asked_this_is_passed_by(sqlite_url: str) -> None:
    target: JsonObject = {
        "api": "completions",
        "routes": [{"backend": "second", "model": SECOND_MODEL}],
        "fallbacks": [],
        "routing": {"attempts_per_route": 2},
    }
    async with serve_routed(sqlite_url, target=target) as routed:
        for _ in range(12):  # half of them would begin at the base model
            answer = await routed.ask(tools=[{"type": "function"}])
            assert answer.status_code == 200, answer.text
            assert way(answer) == ("second", "1", "false")
        assert not routed.first.requests
    target = {"api": "completions", "fallbacks": [], "routes": []}
    async with serve_routed(sqlite_url, target=target) as routed:
        refused = await routed.ask(tools=[{"type": "function"}])
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "tools"


async def test_a_single_route_says_nothing_about_its_way(sqlite_url: str) -> None:
    async with serve_routed(sqlite_url, target={"fallbacks": []}) as routed:
        routed.first.push(*[error(500)] * 9)
        for _ in range(9):
            response = await routed.ask()
            assert response.status_code == 503
            assert "x-drpo-attempts" not in response.headers
        assert (await routed.ask()).status_code == 200  # however often it fails, nobody could take its place


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/responses"])
async def test_the_other_apis_go_the_same_ways(routed: Routed, path: str) -> None:
    routed.first.push(error(500))
    field = {"/v1/completions": "prompt", "/v1/responses": "input"}[path]
    response = await routed.client.post(path, json={"model": MODEL, field: "Once"})
    assert response.status_code == 200
    assert way(response) == ("second", "2", "true")
    assert response.json()["model"] == MODEL
