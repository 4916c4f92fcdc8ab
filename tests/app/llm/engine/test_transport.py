import asyncio
import threading
import time
from typing import Any

import httpx
import orjson
import pytest

from app.llm.engine.port import Engine, EngineDiedError, RefusedByEngineError
from app.llm.engine.transport import EngineTransport
from app.llm.http import BackendClient
from app.llm.limits.limiter import BackendLimiter
from app.llm.limits.opening import own_limiters
from app.llm.passthrough import Passthrough
from app.llm.sse import DONE, payload
from app.llm.token_counts import TokenCounter
from app.vllm_settings import EngineSettings
from optimizer.errors import BackendUnavailableError, MisconfiguredError, RequestRefusedError
from optimizer.types import CompletionRequest, Message, OutputSchema, Sampling
from tests.app.llm.engine.opening import MODEL, SETTINGS, client_of, model_on
from tests.app.llm.opening import origin
from tests.app.llm.scripted import small_request
from tests.fakes.engine import FakeEngine

TURNS = [{"role": "user", "content": "one two three"}]
CHAT: dict[str, Any] = {"model": MODEL, "messages": TURNS}
TEXT: dict[str, Any] = {"model": MODEL, "prompt": "one two three"}


async def ask(engine: Engine, body: object, *, path: str = "chat/completions") -> tuple[int, Any]:
    """The status and body of the answer to a raw body."""
    transport = EngineTransport(EngineSettings(model=MODEL), open_with=lambda _: engine)
    async with httpx.AsyncClient(transport=transport, base_url="http://in-process.invalid/v1/") as client:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        response = await client.post(path, content=content)
        return response.status_code, response.json()


async def test_what_is_asked_reaches_the_engine_under_its_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(defaults={"top_k": 20, "temperature": 0.6})
    request = CompletionRequest(
        prompt=(Message(role="system", content="be kind"), Message(role="user", content="hello you there")),
        sampling=Sampling(temperature=0.3, top_p=0.9, max_tokens=9, stop=("END",)),
        n=2,
        seed=5,
        top_logprobs=3,
        output=OutputSchema(name="colour", schema={"type": "object", "properties": {}}),
    )
    async with model_on(engine, monkeypatch) as model:
        result = await model.complete(request)
    assert len(result.completions) == 2
    assert result.fingerprint == "vllm-fake"
    [(tokens, sampling, priority)] = engine.asked
    assert (tokens, priority) == ([0, 1, 2, 3, 4], 0)
    assert sampling == {
        "top_k": 20, "temperature": 0.3, "top_p": 0.9, "max_tokens": 9, "stop": ["END"], "n": 2, "seed": 5,
        "logprobs": 3, "structured_outputs": {"json": {"type": "object", "properties": {}}},
    }  # fmt: skip
    [(messages, _)] = engine.templated
    assert [turn["role"] for turn in messages] == ["system", "user"]


async def test_chat_may_fill_the_context_and_text_gets_the_usual_sixteen_tokens() -> None:
    engine = FakeEngine(context=40)
    await ask(engine, CHAT)
    await ask(engine, TEXT, path="completions")
    await ask(engine, {**CHAT, "max_completion_tokens": 4, "priority": 7, "logit_bias": {"3": 1}})
    assert [sampling["max_tokens"] for _, sampling, _ in engine.asked] == [37, 16, 4]
    assert engine.asked[2][1]["logit_bias"] == {"3": 1}
    assert engine.asked[2][2] == 7


async def test_one_other_thread_makes_tokens_of_conversations() -> None:
    engine = FakeEngine()
    transport = EngineTransport(EngineSettings(model=MODEL), open_with=lambda _: engine)
    async with httpx.AsyncClient(transport=transport, base_url="http://in-process.invalid/v1/") as client:
        await asyncio.gather(*(client.post("chat/completions", json=CHAT) for _ in range(20)))
    (thread,) = engine.threads
    assert thread != threading.get_ident()


async def test_answers_count_their_tokens_and_those_that_were_cached() -> None:
    status, answer = await ask(FakeEngine(), {**CHAT, "n": 2})
    assert status == 200
    assert answer["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 16,
        "total_tokens": 19,
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["stop", "stop"]
    assert answer["object"] == "chat.completion"


async def test_log_probabilities_have_the_shape_of_each_api() -> None:
    engine = FakeEngine()
    _, chat = await ask(engine, {**CHAT, "logprobs": True, "top_logprobs": 2, "max_tokens": 2})
    first = chat["choices"][0]["logprobs"]["content"][0]
    assert first["logprob"] == -1.0
    assert first["bytes"] == list(first["token"].encode())
    assert [each["logprob"] for each in first["top_logprobs"]] == [-1.0, -2.0]
    _, text = await ask(engine, {**TEXT, "logprobs": 1, "max_tokens": 2}, path="completions")
    found = text["choices"][0]["logprobs"]
    assert found["token_logprobs"] == [-1.0, -1.0]
    assert found["text_offset"] == [0, len(found["tokens"][0])]
    assert [len(place) for place in found["top_logprobs"]] == [2, 2]
    _, plain = await ask(engine, CHAT)
    assert plain["choices"][0]["logprobs"] is None


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({**CHAT, "tools": [{"type": "function"}]}, "tools is not possible with the engine in this process"),
    ({"model": MODEL, "messages": []}, "messages is no list of turns"),
    ({"model": MODEL, "messages": [{"content": "x"}]}, "a turn without a role"),
    ({"model": MODEL, "messages": [{"role": "nobody", "content": "x"}]}, "template does not take it"),
    ({"model": MODEL, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "text alone"),
    ({**CHAT, "top_logprobs": 2}, "top_logprobs needs logprobs"),
    ({**CHAT, "logprobs": True, "top_logprobs": "two"}, "top_logprobs is no whole number"),
    ({**CHAT, "max_tokens": 98}, "has room for 97"),
    ({**CHAT, "messages": [{"role": "user", "content": "word " * 100}]}, "longer than the 100 tokens"),
    (
        {**CHAT, "chat_template_kwargs": {"chat_template": "{{ 1 }}"}},
        "chat_template_kwargs has chat_template",
    ),
    ({**CHAT, "chat_template_kwargs": {"padding": "max_length", "max_length": 9}}, "has max_length, padding"),
    ({**CHAT, "response_format": {"type": "xml"}}, "none of the types text, json_object, json_schema"),
    ({**CHAT, "response_format": {"type": "json_schema"}}, "json_schema has no schema"),
]


@pytest.mark.parametrize(("body", "message"), REFUSED, ids=[message for _, message in REFUSED])
async def test_what_it_does_not_do_is_refused_with_the_reason(body: dict[str, Any], message: str) -> None:
    engine = FakeEngine()
    status, answer = await ask(engine, body)
    assert status == 400
    assert message in answer["error"]["message"]
    assert answer["error"]["code"] == 400
    assert engine.asked == []


async def test_other_requests_that_cannot_be_read_or_served() -> None:
    engine = FakeEngine()
    assert (await ask(engine, b"{"))[0] == 400
    assert (await ask(engine, [1]))[0] == 400
    assert (await ask(engine, {"model": MODEL, "prompt": [1]}, path="completions"))[0] == 400
    assert (await ask(engine, {"model": MODEL, "input": "x"}, path="embeddings"))[0] == 404
    status, answer = await ask(engine, {**CHAT, "model": "another"})
    assert (status, "does not exist" in answer["error"]["message"]) == (404, True)
    engine.failure = RefusedByEngineError("n must be 1 when using greedy sampling")
    status, answer = await ask(engine, CHAT)
    assert (status, answer["error"]["message"]) == (400, "n must be 1 when using greedy sampling")


async def test_text_parts_and_json_objects_are_taken() -> None:
    engine = FakeEngine()
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    body = {**CHAT, "messages": [{"role": "user", "content": parts}], "chat_template_kwargs": {"deep": True}}
    assert (await ask(engine, {**body, "response_format": {"type": "json_object"}}))[0] == 200
    assert (await ask(engine, {**body, "response_format": {"type": "text"}}))[0] == 200
    assert engine.asked[0][1]["structured_outputs"] == {"json_object": True}
    assert "structured_outputs" not in engine.asked[1][1]
    assert isinstance(engine.templated[0][0][0]["content"], str)
    assert engine.templated[0][1] == {"deep": True}


async def test_errors_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(failure=RefusedByEngineError("seed is too large"))
    async with model_on(engine, monkeypatch) as model:
        with pytest.raises(RequestRefusedError, match="seed is too large"):
            await model.complete(small_request())
    async with model_on(engine, monkeypatch, model="another") as model:
        with pytest.raises(MisconfiguredError, match=r"set roles\.judge\.model"):
            await model.complete(small_request())


async def test_an_engine_that_died_is_closed_and_another_one_is_loaded() -> None:
    dead, alive = FakeEngine(failure=EngineDiedError("the engine is dead")), FakeEngine()
    engines = iter([dead, alive])
    transport = EngineTransport(EngineSettings(model=MODEL), open_with=lambda _: next(engines))
    async with httpx.AsyncClient(transport=transport, base_url="http://in-process.invalid/v1/") as client:
        assert (await client.post("chat/completions", json=CHAT)).status_code == 500
        assert dead.closed == 1
        assert (await client.post("chat/completions", json=CHAT)).status_code == 200
    assert alive.closed == 1


async def test_an_engine_that_cannot_be_loaded_is_a_backend_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = 0

    def fail(_: EngineSettings) -> Engine:
        nonlocal loads
        loads += 1
        raise RuntimeError("no memory for the cache")

    monkeypatch.setattr(
        "app.llm.http.EngineTransport", lambda settings: EngineTransport(settings, open_with=fail)
    )
    monkeypatch.setattr("app.llm.http.is_installed", lambda: True)
    async with BackendClient(SETTINGS, key=None) as client:
        upstream = Passthrough(client, SETTINGS, origin=origin(MODEL, key=None), limiter=limiter())
        for _ in range(2):
            with pytest.raises(BackendUnavailableError, match=r"503.*no memory for the cache"):
                await upstream.send(orjson.dumps(CHAT), "chat/completions")
    assert loads == 2


def limiter() -> BackendLimiter:
    return own_limiters("engine", SETTINGS)


async def frames_of(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, body: object) -> list[bytes]:
    async with client_of(engine, monkeypatch) as client:
        upstream = Passthrough(client, SETTINGS, origin=origin(MODEL, key=None), limiter=limiter())
        async with upstream.stream(orjson.dumps(body), "chat/completions") as frames:
            return [frame async for together in frames for frame in together]


async def test_a_stream_says_the_same_word_by_word(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    whole = (await ask(engine, {**CHAT, "seed": 3}))[1]["choices"][0]["message"]["content"]
    body = {**CHAT, "seed": 3, "stream": True, "stream_options": {"include_usage": True}}
    *frames, end = await frames_of(engine, monkeypatch, body)
    events = [orjson.loads(payload(frame)) for frame in frames]
    assert end == DONE
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(event["choices"][0]["delta"]["content"] for event in events[1:-1]) == whole
    assert [event["choices"][0]["finish_reason"] for event in events[1:-1]] == [*([None] * 7), "stop"]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 8
    assert engine.aborted == 0


async def test_a_stream_without_counts_ends_with_done_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = await frames_of(FakeEngine(), monkeypatch, {**CHAT, "stream": True})
    assert frames[-1] == DONE
    assert b"usage" not in b"".join(frames)


async def test_a_stream_that_is_refused_is_an_error_before_its_first_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = FakeEngine(failure=RefusedByEngineError("no"))
    with pytest.raises(RequestRefusedError, match="400: no"):
        await frames_of(engine, monkeypatch, {**CHAT, "stream": True})


async def test_a_stream_whose_engine_dies_does_not_end_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendUnavailableError, match="before its answer was complete"):
        await frames_of(FakeEngine(dies_after=3), monkeypatch, {**CHAT, "stream": True})


async def test_a_reader_that_leaves_a_stream_aborts_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    async with client_of(engine, monkeypatch) as client:
        upstream = Passthrough(client, SETTINGS, origin=origin(MODEL, key=None), limiter=limiter())
        async with upstream.stream(orjson.dumps({**CHAT, "stream": True}), "chat/completions") as frames:
            await anext(frames)
    assert engine.aborted == 1


async def test_a_call_that_is_cancelled_is_aborted_in_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(hangs=True)
    async with model_on(engine, monkeypatch) as model:
        call = asyncio.ensure_future(model.complete(small_request()))
        while not engine.asked:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert engine.aborted == 1


async def test_requests_that_come_together_load_one_engine() -> None:
    loaded: list[FakeEngine] = []

    def load(_: EngineSettings) -> Engine:
        time.sleep(0.01)
        loaded.append(FakeEngine())
        return loaded[-1]

    transport = EngineTransport(EngineSettings(model=MODEL), open_with=load)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://in-process.invalid/v1/") as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(5):
            group.create_task(client.post("chat/completions", json=CHAT))
    assert len(loaded) == 1
    assert len(loaded[0].asked) == 5


async def test_it_counts_the_tokens_of_a_prompt_as_it_reads_it() -> None:
    engine = FakeEngine()
    for body in (CHAT, TEXT):
        status, counted = await ask(engine, body, path="../tokenize")
        assert (status, counted) == (200, {"count": 3, "max_model_len": 100})
    assert (await ask(engine, {**TEXT, "model": "another"}, path="../tokenize"))[0] == 404
    assert (await ask(engine, [], path="../tokenize"))[0] == 400
    assert engine.asked == []


async def test_a_prompt_is_counted_through_the_client_that_all_use(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    async with client_of(engine, monkeypatch) as client:
        counter = TokenCounter(client, SETTINGS, origin=origin(MODEL, key=None), folds_system=True)
        request = CompletionRequest(
            prompt=(Message(role="system", content="be kind"), Message(role="user", content="hello you"))
        )
        assert await counter.count(request) == 4
        engine.templated.clear()
        assert await counter.count(CompletionRequest(prompt="one two three")) == 3


@pytest.mark.parametrize("extra", [{"prompt_logprobs": True}, {"prompt_logprobs": 0, "stream": True}])
async def test_log_probabilities_of_a_prompt_are_a_number_and_no_stream(extra: dict[str, Any]) -> None:
    status, told = await ask(FakeEngine(), {**CHAT, **extra})
    assert status == 400
    assert "prompt_logprobs" in told["error"]["message"]
