import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from app.llm.http import BackendClient
from app.llm.limits.limiter import BackendLimiter
from app.llm.limits.rates import Rates
from app.llm.passthrough import Passthrough
from app.llm.sse import DONE
from app.llm.wire import Path
from optimizer.errors import (
    BackendUnavailableError,
    MalformedResponseError,
    ModelError,
    RateLimitedError,
    RequestRefusedError,
)
from optimizer.types import JsonObject
from tests.app.llm.opening import KEY, backend_settings, origin
from tests.fakes.openai_server import Answer, Drop, FakeOpenAIServer, Reply, Stream, error, serve, sse

ASKED: JsonObject = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
BODY = orjson.dumps(ASKED)
STREAMED = orjson.dumps({**ASKED, "stream": True})
PATH: Path = "chat/completions"


@asynccontextmanager
async def opened(
    limiter: BackendLimiter | None = None, **fields: object
) -> AsyncIterator[tuple[FakeOpenAIServer, Passthrough]]:
    async with serve() as fake:
        settings = backend_settings(fake, **fields)
        async with BackendClient(settings, key=KEY) as client:
            yield (
                fake,
                Passthrough(client, settings, origin=origin(), limiter=limiter or BackendLimiter(4)),
            )


async def test_a_body_goes_in_and_the_server_s_bytes_come_out() -> None:
    async with opened() as (fake, passthrough):
        fake.push(Answer(body=b'{"choices" :  []}', headers={"x-upstream": "1"}))
        response = await passthrough.send(b'{"model":"m", "odd": [1]}', PATH)
    assert fake.requests[0].body == {"model": "m", "odd": [1]}
    assert (response.status, response.body) == (200, b'{"choices" :  []}')
    assert response.headers["x-upstream"] == "1"


@pytest.mark.parametrize("has_asked", [False, True])
async def test_who_asks_after_the_end_meets_a_backend_that_is_away(has_asked: bool) -> None:
    async with opened() as (fake, passthrough):
        if has_asked:
            await passthrough.send(BODY, PATH)
        await passthrough._client.aclose()
        with pytest.raises(BackendUnavailableError):
            await passthrough.send(BODY, PATH)
    assert len(fake.requests) == has_asked


async def test_frames_come_out_as_they_are() -> None:
    async with opened() as (fake, passthrough):
        fake.push(Stream(chunks=[b'data: {"a": 1}\n', b'\ndata: {"b":2}\n\n: ping\n\nda', b"ta: [DONE]\n\n"]))
        async with passthrough.stream(STREAMED, PATH) as frames:
            seen = [frame async for together in frames for frame in together]
    assert seen == [b'data: {"a": 1}\n\n', b'data: {"b":2}\n\n', DONE]
    assert fake.requests[0].body == {**ASKED, "stream": True}


async def test_a_stream_whose_end_has_no_blank_line_has_ended_well() -> None:
    async with opened() as (fake, passthrough):
        fake.push(Stream(chunks=[sse({"a": 1}), b"data: [DONE]\n"]))
        async with passthrough.stream(STREAMED, PATH) as frames:
            assert [frame async for together in frames for frame in together] == [sse({"a": 1}), DONE]


async def streamed(passthrough: Passthrough, then: asyncio.Event | None = None) -> list[bytes]:
    """The frames of a stream, whose connection is done with; ``then`` is set after the last one."""
    async with passthrough.stream(STREAMED, PATH) as frames:
        seen = [frame async for together in frames for frame in together]
    if then is not None:
        then.set()
    if ending := [task for task in asyncio.all_tasks() if task.get_name() == "end of a stream"]:
        await asyncio.wait(ending)
    return seen


async def test_streams_that_end_a_little_after_their_last_frame_use_one_connection() -> None:
    async with opened() as (fake, passthrough):
        for _ in range(5):
            gate = asyncio.Event()
            fake.push(Stream(chunks=[DONE, b": so much for that\n\n"], gate=gate))
            assert await streamed(passthrough, gate) == [DONE]
    assert len(fake.clients) == 1


async def test_too_much_after_the_end_is_not_read() -> None:
    async with opened() as (fake, passthrough):
        for _ in range(2):
            fake.push(Stream(chunks=[DONE, b"x" * 2**22]))
            assert await streamed(passthrough) == [DONE]
    assert len(fake.clients) == 2


async def test_nobody_waits_for_what_comes_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as (fake, passthrough):
        fake.push(Stream(chunks=[DONE, b": late\n\n"], gate=asyncio.Event()))
        async with passthrough.stream(STREAMED, PATH) as frames:
            assert [together async for together in frames] == [[DONE]]
        assert fake.left == 0
        monkeypatch.setattr("app.llm.network._REST_SECONDS", 0.01)
        fake.push(Stream(chunks=[DONE, b": late\n\n"], gate=asyncio.Event()))
        assert await streamed(passthrough) == [DONE]
        await fake.until(lambda: fake.left > 0)


async def test_the_first_frame_comes_before_the_second_is_written() -> None:
    gate = asyncio.Event()
    async with opened() as (fake, passthrough):
        fake.push(Stream(chunks=[sse({"a": 1}), DONE], gate=gate))
        async with passthrough.stream(STREAMED, PATH) as frames:
            assert await anext(frames) == [sse({"a": 1})]
            gate.set()
            assert await anext(frames) == [DONE]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(400, "the reason"), RequestRefusedError),
        (error(429), RateLimitedError),
        (error(503), BackendUnavailableError),
        (Drop(), BackendUnavailableError),
        (Stream(chunks=[sse({"error": {"message": "no", "code": 429}})]), RateLimitedError),
        (Stream(chunks=[]), BackendUnavailableError),
        (Stream(chunks=[b": ping\n\n"]), BackendUnavailableError),
        (Stream(chunks=[b'{"choices": []}'], content_type="application/json"), MalformedResponseError),
        (Stream(chunks=[b'data: "error"{\n\n']), MalformedResponseError),
    ],
)
async def test_a_stream_that_does_not_begin_raises_at_once(reply: Reply, kind: type[ModelError]) -> None:
    async with opened() as (fake, passthrough):
        fake.push(reply)
        with pytest.raises(kind):
            async with passthrough.stream(STREAMED, PATH):
                pytest.fail("there is no stream")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Stream(chunks=[sse({"a": 1}), sse({"b": 2})], drop=True), BackendUnavailableError),
        (Stream(chunks=[sse({"a": 1}), sse({"b": 2})]), BackendUnavailableError),
        (Stream(chunks=[sse({"a": 1}), sse({"b": 2}), b'data: {"c"']), BackendUnavailableError),
        (Stream(chunks=[sse({"a": 1}), sse({"b": 2}), sse({"error": "broke"})]), BackendUnavailableError),
        (Stream(chunks=[sse({"a": 1}), sse({"b": 2}), b"data: " + b"x" * 4000]), ModelError),
    ],
)
async def test_a_stream_that_breaks_never_ends_well(reply: Reply, kind: type[ModelError]) -> None:
    async with opened(max_response_bytes=2048) as (fake, passthrough):
        fake.push(reply)
        seen: list[bytes] = []

        async def read() -> None:
            async with passthrough.stream(STREAMED, PATH) as frames:
                async for together in frames:
                    seen.extend(together)

        with pytest.raises(kind):
            await read()
    assert DONE not in seen
    assert seen[:1] == [sse({"a": 1})]


async def test_the_word_error_in_an_answer_is_no_error() -> None:
    talk = sse({"choices": [{"delta": {"content": 'say "error"'}, "error": None}]})
    async with opened() as (fake, passthrough):
        fake.push(Stream(chunks=[talk, DONE]), Answer(body={"error": None, "choices": []}))
        async with passthrough.stream(STREAMED, PATH) as frames:
            assert [frame async for together in frames for frame in together] == [talk, DONE]
        assert (await passthrough.send(BODY, PATH)).status == 200


@pytest.mark.parametrize("reply", [error(401), Answer(body={"error": {"message": "no"}}), Drop()])
async def test_an_answer_that_is_an_error_is_raised(reply: Reply) -> None:
    async with opened() as (fake, passthrough):
        fake.push(reply)
        with pytest.raises(ModelError):
            await passthrough.send(BODY, PATH)


async def test_leaving_a_stream_closes_its_connection() -> None:
    async with opened() as (fake, passthrough):
        fake.push(Stream(chunks=[sse({"a": 1}), DONE], gate=asyncio.Event()))
        async with passthrough.stream(STREAMED, PATH) as frames:
            await anext(frames)
        await fake.until(lambda: fake.left == 1)


async def test_a_cancelled_reader_closes_its_connection() -> None:
    async with opened() as (fake, passthrough):
        fake.push(Stream(chunks=[sse({"a": 1}), DONE], gate=asyncio.Event()))
        first = asyncio.Event()

        async def reads() -> None:
            async with passthrough.stream(STREAMED, PATH) as frames:
                async for _ in frames:
                    first.set()

        reader = asyncio.ensure_future(reads())
        await first.wait()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await fake.until(lambda: fake.left == 1)


async def test_what_a_reader_raises_is_not_taken_for_the_backend_s() -> None:
    async with opened() as (fake, passthrough):
        fake.push(Stream(chunks=[sse({"a": 1}), DONE], gate=asyncio.Event()))
        with pytest.raises(OSError, match="mine"):
            async with passthrough.stream(STREAMED, PATH):
                raise OSError("mine")


async def test_serving_does_not_queue_but_its_429_slows_the_search() -> None:
    limiter = BackendLimiter(1)
    async with opened(limiter) as (_, passthrough), limiter.slot():
        assert (await passthrough.send(BODY, PATH)).status == 200
    wide = BackendLimiter(8)
    async with opened(wide) as (fake, passthrough):
        fake.push(error(429))
        with pytest.raises(RateLimitedError):
            await passthrough.send(BODY, PATH)
    assert wide.limit == 4


@pytest.mark.parametrize("told", [True, False])
async def test_tokens_of_users_count_where_a_minute_s_tokens_are_limited(told: bool) -> None:
    usage: JsonObject = {"usage": {"prompt_tokens": 400, "completion_tokens": 100}} if told else {}
    limiter = BackendLimiter(4, rates=Rates(tokens_per_minute=600))
    async with opened(limiter) as (fake, passthrough):
        fake.push(Answer(body=orjson.dumps({"choices": [], **usage})))
        await passthrough.send(orjson.dumps({"messages": "x" * 2000}), PATH)
        assert limiter.report().tokens == pytest.approx(500, abs=0 if told else 50)
        events = [sse({"a": number}) for number in range(20)]
        fake.push(Stream(chunks=[*events, *([sse({"choices": [], **usage})] if told else []), DONE]))
        async with passthrough.stream(STREAMED, PATH) as frames:
            assert [frame async for together in frames for frame in together][-1] == DONE
        assert limiter.report().tokens == (500 if told else pytest.approx(21, abs=20))
    assert limiter.serving == 0


async def test_a_stream_keeps_its_place_until_it_ends() -> None:
    limiter = BackendLimiter(4)
    async with opened(limiter) as (fake, passthrough):
        fake.push(Stream(chunks=[sse({"a": 1}), DONE]))
        async with passthrough.stream(STREAMED, PATH) as frames:
            assert limiter.serving == 1
            assert [frame async for together in frames for frame in together][-1] == DONE
    assert limiter.serving == 0
