"""Answers that are kept, over real HTTP on both sides."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from app.access.key_limits import KeyLimits, Period, Quota
from app.chat.kept_answers import CacheControl
from optimizer.types import JsonObject, Usage
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.routed import FIRST_MODEL, PATH, Routed, serve_routed
from tests.app.chat.serving import MODEL, add_version, question
from tests.fakes.openai_server import Answer, Stream, error, sse
from tests.fixtures.redis import RedisServer

DONE = b"data: [DONE]\n\n"

_ID = re.compile(rb"chatcmpl-[0-9a-f]{28}")


@asynccontextmanager
async def keeping(
    database_url: str, *, target: JsonObject | None = None, **cache: object
) -> AsyncIterator[Routed]:
    settings = {"cache": {"ttl_seconds": 600, **cache}, **(target or {})}
    async with serve_routed(database_url, target=settings) as opened:
        yield opened


@pytest.fixture
async def routed(sqlite_url: str) -> AsyncIterator[Routed]:
    async with keeping(sqlite_url) as opened:
        yield opened


def without_id(response: httpx.Response) -> object:
    return {**response.json(), "id": None, "created": None}


async def test_by_default_nothing_is_kept(sqlite_url: str) -> None:
    async with serve_routed(sqlite_url) as routed:
        responses = [await routed.ask(temperature=0) for _ in range(2)]
        assert routed.resources.kept_answers is None
        assert "x-drpo-cache" not in responses[1].headers
        assert len(routed.first.requests) == 2


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"temperature": 0.0}, {"seed": 7}])
async def test_the_same_request_gets_the_same_answer_again(routed: Routed, fields: dict[str, object]) -> None:
    first, second = [await routed.ask(**fields) for _ in range(2)]
    assert (first.headers["x-drpo-cache"], second.headers["x-drpo-cache"]) == ("miss", "hit")
    assert "age" not in first.headers
    assert int(second.headers["age"]) < 60
    assert first.json()["id"] != second.json()["id"]  # each can be rated
    assert {**first.json(), "id": "x"} == {**second.json(), "id": "x"}
    assert second.headers["x-drpo-upstream-model"] == FIRST_MODEL
    assert "x-drpo-attempts" not in second.headers
    assert len(routed.first.requests) == 1


async def test_a_stream_is_given_again_as_a_stream(routed: Routed) -> None:
    first, second = [await routed.ask(temperature=0, stream=True) for _ in range(2)]
    assert second.headers["x-drpo-cache"] == "hit"
    assert second.headers["content-type"] == "text/event-stream"
    assert _ID.sub(b"", second.content) == _ID.sub(b"", first.content)
    assert second.content != first.content
    assert second.content.endswith(DONE)
    asked = {"stream_options": {"include_usage": True}}
    third = await routed.ask(temperature=0, stream=True, **asked)
    assert third.headers["x-drpo-cache"] == "hit"  # the backend was asked the same: only this caller is told
    assert b"usage" in third.content
    assert b"usage" not in second.content
    assert len(routed.first.requests) == 1


async def test_the_apis_give_the_same_answer_in_their_own_form(routed: Routed) -> None:
    await routed.ask(temperature=0)
    body = {"model": MODEL, "input": "Why is the sea blue?", "temperature": 0}
    response = await routed.client.post("/v1/responses", json=body)
    assert response.headers["x-drpo-cache"] == "hit"
    assert response.json()["object"] == "response"


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0, "max_tokens": 5},
        {"temperature": 0, "stream": True},
        {"temperature": 0, "user": "another"},
        {"temperature": 0, "drpo": {"align": False}},
    ],
)
async def test_any_difference_makes_it_another_request(routed: Routed, change: dict[str, object]) -> None:
    await add_version(routed.resources.prompts)
    await routed.ask(temperature=0)
    assert (await routed.ask(**change)).headers["x-drpo-cache"] == "miss"


async def test_another_prompt_version_has_its_own_answers(routed: Routed) -> None:
    one = await add_version(routed.resources.prompts, "Be kind.", label=None)
    other = await add_version(routed.resources.prompts, "Be brief.", label=None)
    for version in (one, other):
        response = await routed.ask(temperature=0, drpo={"prompt_version": version.id})
        assert response.headers["x-drpo-cache"] == "miss"
    again = await routed.ask(temperature=0, drpo={"prompt_version": one.id})
    assert again.headers["x-drpo-cache"] == "hit"
    assert again.headers["x-drpo-prompt-version"] == one.id


@pytest.mark.parametrize("fields", [{}, {"temperature": 0.7}, {"temperature": None}])
async def test_who_wants_another_answer_each_time_gets_it(routed: Routed, fields: dict[str, object]) -> None:
    responses = [await routed.ask(**fields) for _ in range(2)]
    assert all("x-drpo-cache" not in response.headers for response in responses)
    assert len(routed.first.requests) == 2


async def test_all_answers_are_kept_where_that_is_wanted(sqlite_url: str) -> None:
    async with keeping(sqlite_url, requests="all") as routed:
        await routed.ask()
        assert (await routed.ask()).headers["x-drpo-cache"] == "hit"


@pytest.mark.parametrize(
    ("control", "asked", "found_later"),
    [("no-cache", 2, True), ("no-store", 2, True), ("max-age=0", 2, True), ("max-age=300", 1, True)],
)
async def test_a_request_may_say_no(routed: Routed, control: str, asked: int, found_later: bool) -> None:
    await routed.ask(temperature=0)
    headers = {"cache-control": control}
    await routed.client.post(PATH, json=question(temperature=0), headers=headers)
    assert len(routed.first.requests) == asked
    assert ((await routed.ask(temperature=0)).headers["x-drpo-cache"] == "hit") is found_later


async def test_what_is_not_to_be_kept_is_not(routed: Routed) -> None:
    headers = {"cache-control": "no-store"}
    response = await routed.client.post(PATH, json=question(temperature=0), headers=headers)
    assert "x-drpo-cache" not in response.headers
    assert (await routed.ask(temperature=0)).headers["x-drpo-cache"] == "miss"


@pytest.mark.parametrize(("shared", "second"), [(False, "miss"), (True, "hit")])
async def test_each_key_has_its_own_answers_unless_they_are_shared(
    sqlite_url: str, shared: bool, second: str
) -> None:
    async with keeping(sqlite_url, shared=shared) as routed:
        told = []
        for _ in range(2):
            key, _ = await add_key(routed.resources.access.keys)
            response = await routed.client.post(PATH, json=question(temperature=0), headers=bearer(key))
            told.append(response.headers["x-drpo-cache"])
        assert told == ["miss", second]


async def test_a_key_that_may_not_ask_the_model_is_given_no_answer(sqlite_url: str) -> None:
    async with keeping(sqlite_url, shared=True) as routed:
        await routed.ask(temperature=0)
        key, _ = await add_key(routed.resources.access.keys, models=("another",))
        response = await routed.client.post(PATH, json=question(temperature=0), headers=bearer(key))
        assert response.status_code == 404


@pytest.mark.parametrize("stream", [False, True])
async def test_a_kept_answer_counts_as_a_request_and_costs_nothing(sqlite_url: str, stream: bool) -> None:
    async with keeping(sqlite_url) as routed:
        quota = Quota(period=Period.TOTAL, requests=2)
        key, _ = await add_key(routed.resources.access.keys, limits=KeyLimits(quotas=(quota,)))
        body = question(temperature=0, stream=stream)
        statuses = [
            (await routed.client.post(PATH, json=body, headers=bearer(key))).status_code for _ in range(3)
        ]
        assert statuses == [200, 200, 429]
        paid, kept = await routed.outcome(), await routed.outcome()
        assert (paid.micros, paid.was_kept, paid.attempts) == (12, False, 1)
        assert (kept.micros, kept.was_kept, kept.attempts) == (0, True, 0)
        assert kept.counted == Usage(prompt_tokens=0, completion_tokens=0)
        assert (kept.ending, kept.backend, kept.upstream_model) == ("answered", "first", FIRST_MODEL)
        assert kept.usage == paid.usage


@pytest.mark.parametrize(
    "reply",
    [
        error(400, "no"),
        Answer(body=b"<html>"),
        Stream(chunks=[sse({"choices": [{"index": 0, "delta": {"content": "a"}}]})], drop=True),
        Stream(chunks=[sse({"choices": []}), b"data: hello\n\n", DONE]),
        Stream(chunks=[sse({"choices": []}), sse({"error": {"message": "no"}})]),
    ],
)
async def test_only_what_was_good_to_its_end_is_kept(sqlite_url: str, reply: Answer | Stream) -> None:
    async with keeping(sqlite_url, target={"fallbacks": []}) as routed:
        routed.first.push(reply)
        stream = isinstance(reply, Stream)
        await routed.ask(temperature=0, stream=stream)
        again = await routed.ask(temperature=0, stream=stream)
        assert again.headers["x-drpo-cache"] == "miss"
        assert again.status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fallback_s_answer_is_not_kept(routed: Routed, stream: bool) -> None:
    routed.first.push(error(500))
    told = [(await routed.ask(temperature=0, stream=stream)).headers for _ in range(3)]
    assert [headers["x-drpo-cache"] for headers in told] == ["miss", "miss", "hit"]
    assert [headers.get("x-drpo-backend") for headers in told] == ["second", "first", None]


async def test_a_kept_answer_needs_no_backend(routed: Routed) -> None:
    await routed.ask(temperature=0)
    routed.first.push(*[error(429, retry_after="60")])
    routed.second.push(*[error(429, retry_after="60")])
    await routed.ask()
    assert (await routed.ask()).status_code == 503
    assert (await routed.ask(temperature=0)).headers["x-drpo-cache"] == "hit"
    assert routed.circuit().enter() is None


async def test_a_stream_that_is_too_long_is_passed_on_and_not_kept(sqlite_url: str) -> None:
    long = [sse({"choices": [{"index": 0, "delta": {"content": "x" * 600}}]}) for _ in range(3)]
    async with serve_routed(
        sqlite_url, target={"cache": {"ttl_seconds": 60}}, cache={"max_entry_bytes": 1024}
    ) as routed:
        routed.first.push(Stream(chunks=[*long, DONE]), Stream(chunks=[*long, DONE]))
        told = [await routed.ask(temperature=0, stream=True) for _ in range(2)]
        assert [response.headers["x-drpo-cache"] for response in told] == ["miss", "miss"]
        assert all(response.content.endswith(DONE) for response in told)


async def test_vectors_are_kept_as_well(sqlite_url: str) -> None:
    embedders = {"vectors": {"backend": "first", "model": "e", "cache": {"ttl_seconds": 60}}}
    async with serve_routed(sqlite_url, embedders=embedders) as routed:
        body = {"object": "list", "data": [{"index": 0, "embedding": [0.5]}]}
        routed.first.push(Answer(body=json.loads(json.dumps(body))))
        asked = {"model": "vectors", "input": "sea"}
        told = [await routed.client.post("/v1/embeddings", json=asked) for _ in range(2)]
        assert [response.headers["x-drpo-cache"] for response in told] == ["miss", "hit"]
        assert told[0].content == told[1].content


async def test_processes_share_answers_through_redis(sqlite_url: str, redis_server: RedisServer) -> None:
    redis_server.begin()
    await redis_server.until_up()
    groups = {"cache": {"store": "redis"}, "redis": {"url": redis_server.url}}
    target: JsonObject = {"cache": {"ttl_seconds": 60}}
    async with serve_routed(sqlite_url, target=target, **groups) as routed:
        await routed.ask(temperature=0)
    async with serve_routed(sqlite_url, target=target, **groups) as routed:
        assert (await routed.ask(temperature=0)).headers["x-drpo-cache"] == "hit"
        redis_server.kill()
        assert (await routed.ask(temperature=0)).headers["x-drpo-cache"] == "miss"


@pytest.mark.parametrize(
    ("text", "control"),
    [
        ("", CacheControl()),
        ("no-cache", CacheControl(finds=False)),
        ("No-Store", CacheControl(finds=False, keeps=False)),
        ('public, MAX-AGE="10"', CacheControl(max_age_seconds=10)),
        ("max-age=, =, ;;, max-age=99999999999999", CacheControl()),
    ],
)
def test_what_a_request_says_about_kept_answers(text: str, control: CacheControl) -> None:
    assert CacheControl.of({"cache-control": text}) == control
