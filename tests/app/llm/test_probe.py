import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.llm.capabilities import Capabilities
from app.llm.http import BackendClient
from app.llm.limits.limiter import BackendLimiter
from app.llm.probe import Prober
from app.llm.wire import Api
from optimizer.errors import BackendUnavailableError, MisconfiguredError, RequestRefusedError
from optimizer.types import JsonObject
from tests.app.llm.opening import KEY, backend_settings, origin
from tests.fakes.openai_server import (
    Answer,
    Drop,
    Exchange,
    FakeOpenAIServer,
    Reply,
    Stream,
    error,
    serve,
    well_behaved,
)
from tests.fakes.scoring_server import echoes_texts, scores_texts


async def no_wait(_: float) -> None:
    await asyncio.sleep(0)


async def probe(fake: FakeOpenAIServer, api: Api = "chat", maximum: int = 4) -> Capabilities:
    settings = backend_settings(fake)
    async with BackendClient(settings, key=KEY) as client:
        return await Prober(
            client=client,
            settings=settings,
            origin=origin(),
            api=api,
            limiter=BackendLimiter(maximum),
            sleep=no_wait,
        ).probe()


def without(*fields: str) -> Callable[[Exchange], Reply]:
    """A server that silently ignores these fields."""

    def script(exchange: Exchange) -> Reply:
        body: JsonObject = {name: value for name, value in exchange.body.items() if name not in fields}
        return well_behaved(Exchange(path=exchange.path, headers=exchange.headers, body=body))

    return script


def refusing(*fields: str, status: int = 400) -> Callable[[Exchange], Reply]:
    """A server that refuses requests with any of these fields."""

    def script(exchange: Exchange) -> Reply:
        return error(status) if set(fields) & set(exchange.body) else well_behaved(exchange)

    return script


def at_most_alternatives(most: int) -> Callable[[Exchange], Reply]:
    """A server that refuses to give more alternatives with a token."""

    def script(exchange: Exchange) -> Reply:
        wanted = exchange.body.get("top_logprobs", 0)
        return error(400) if isinstance(wanted, int) and wanted > most else well_behaved(exchange)

    return script


def garbled_stream(exchange: Exchange) -> Reply:
    """A server whose streams cannot be read."""
    return Stream(chunks=[b"data: {half\n\n"]) if exchange.body.get("stream") else well_behaved(exchange)


def half_a_character(exchange: Exchange) -> Reply:
    """A server whose model writes a lone surrogate."""
    reply = well_behaved(exchange)
    if not isinstance(reply, Answer):
        return reply
    return Answer(body=json.dumps(reply.body).replace('"content": "', '"content": "\\ud800').encode())


def json_of_any_shape(exchange: Exchange) -> Reply:
    """A server that takes a schema and answers with another object."""
    reply = well_behaved(exchange)
    if not isinstance(reply, Answer) or "json_schema" not in str(exchange.body.get("response_format")):
        return reply
    return Answer(body=json.loads(json.dumps(reply.body).replace("colour", "hue")))


async def test_half_a_character_in_a_reply_ends_no_probe() -> None:
    async with serve() as fake:
        fake.script = half_a_character
        assert await probe(fake) == dataclasses.replace(Capabilities(), json_schema=False, json_mode=False)


async def test_a_server_that_can_do_everything_is_known_to() -> None:
    async with serve() as fake:
        fake.script = well_behaved
        assert await probe(fake) == Capabilities()
    assert len([one for one in fake.requests if one.body]) == 14


def without_several_greedy_ones(exchange: Exchange) -> Reply:
    """vLLM, which gives several answers, but not at temperature 0."""
    body = exchange.body
    if body.get("temperature") == 0 and body.get("n") == 2:
        return error(400, "n must be 1 when using greedy sampling, got 2.")
    return well_behaved(exchange)


def reading_priorities(exchange: Exchange) -> Reply:
    """vLLM, which takes a number as priority and nothing else."""
    known = isinstance(exchange.body.get("priority", 0), int)
    return well_behaved(exchange) if known else error(400, "Input should be a valid integer")


def knowing_structured_outputs(exchange: Exchange) -> Reply:
    """vLLM, which has a field of its own for schemas, with either API."""
    reply = well_behaved(exchange)
    wanted: Any = exchange.body.get("structured_outputs")
    if not wanted or not isinstance(reply, Answer):
        return reply
    text = json.dumps({"colour": wanted["json"]["properties"]["colour"]["enum"][1]})
    chat = "messages" in exchange.body
    choice: JsonObject = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    return Answer(body={"choices": [{"index": 0, **choice}]})


@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_vllm_s_own_field_for_schemas_is_known_from_its_answer(api: Api) -> None:
    async with serve() as fake:
        fake.script = knowing_structured_outputs
        assert (await probe(fake, api)).structured_outputs


@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_it_is_found_out_who_tells_how_likely_a_text_is(api: Api) -> None:
    async with serve() as fake:
        for script, known in ((scores_texts, (True, False)), (echoes_texts, (False, api == "completions"))):
            fake.script = script
            found = await probe(fake, api)
            assert (found.prompt_logprobs, found.echo) == known


@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (Answer(body={"count": 7}), True),
        (Answer(body={"count": 6}), False),  # other tokens than those that the answer counts
        (Answer(body={"count": "7"}), False),
        (Answer(body=[]), False),
        (error(404), False),
    ],
)
async def test_who_counts_prompts_as_it_bills_them_is_known(api: Api, answer: Answer, known: bool) -> None:
    def script(exchange: Exchange) -> Reply:
        return answer if exchange.path == "/tokenize" else well_behaved(exchange)

    async with serve() as fake:
        fake.script = script
        assert (await probe(fake, api)).tokenize == known
    asked = [exchange.body for exchange in fake.requests if exchange.path == "/tokenize"]
    assert {name for body in asked for name in body} == {"model", "messages" if api == "chat" else "prompt"}


async def test_who_serves_adapters_is_not_asked_how_likely_a_text_is() -> None:
    def script(exchange: Exchange) -> Reply:
        if exchange.path.endswith("/models"):
            return Answer(body={"data": [{"id": "m", "parent": None}, {"id": "a", "parent": "m"}]})
        return scores_texts(exchange)

    async with serve() as fake:
        fake.script = script
        assert not (await probe(fake)).prompt_logprobs
    assert not [one for one in fake.requests if "prompt_logprobs" in one.body]


NO_JSON = {"json_schema": False, "json_mode": False}


@pytest.mark.parametrize(
    ("script", "missing"),
    [
        (refusing("response_format"), NO_JSON),
        (without("response_format"), NO_JSON),
        (refusing("response_format", status=500), NO_JSON),
        (json_of_any_shape, {"json_schema": False}),
        (refusing("n"), {"n": False, "greedy_n": False}),
        (without("n"), {"n": False, "greedy_n": False}),
        (without_several_greedy_ones, {"greedy_n": False}),
        (reading_priorities, {"priority": True}),
        (refusing("priority"), {}),
        (refusing("seed"), {"seed": False}),
        (refusing("temperature"), {"sampling": False}),
        (refusing("logprobs"), {"logprobs": False, "top_logprobs": 0}),
        (without("logprobs"), {"logprobs": False, "top_logprobs": 0}),
        (refusing("top_logprobs"), {"top_logprobs": 0}),
        (without("top_logprobs"), {"top_logprobs": 0}),
        (at_most_alternatives(5), {"top_logprobs": 5}),
        (refusing("stream"), {"usage_in_stream": False}),
        (refusing("stream", status=500), {"usage_in_stream": False}),
        (refusing("stream", status=501), {"usage_in_stream": False}),
        (refusing("n", status=501), {"n": False, "greedy_n": False}),
        (garbled_stream, {"usage_in_stream": False}),
        (without("stream"), {"usage_in_stream": False}),
        (refusing("max_tokens"), {"max_tokens_field": "max_completion_tokens"}),
    ],
)
async def test_what_is_refused_or_ignored_is_missing(
    script: Callable[[Exchange], Reply], missing: dict[str, object]
) -> None:
    async with serve() as fake:
        fake.script = script
        assert (await probe(fake)).to_json() == {**Capabilities().to_json(), **missing}


async def test_a_model_without_system_messages_or_token_counts_is_known() -> None:
    def script(exchange: Exchange) -> Reply:
        if "system" in str(exchange.body.get("messages")):
            return error(400, "system role not supported")
        reply = well_behaved(exchange)
        if isinstance(reply, Stream):
            return Stream(chunks=[*reply.chunks[:-2], b"data: [DONE]\n\n"])
        if isinstance(reply, Answer) and isinstance(reply.body, dict):
            del reply.body["usage"]
        return reply

    async with serve() as fake:
        fake.script = script
        assert await probe(fake) == Capabilities(system_role=False, usage=False, usage_in_stream=False)


async def test_a_base_model_is_asked_over_plain_completions() -> None:
    async with serve() as fake:
        fake.script = well_behaved
        assert await probe(fake, "completions") == Capabilities(json_schema=False, json_mode=False)
    assert {exchange.path for exchange in fake.requests if exchange.body} == {"/v1/completions", "/tokenize"}


async def test_trouble_on_the_way_is_not_taken_for_a_missing_capability() -> None:
    async with serve() as fake:
        fake.script = well_behaved
        fake.push(error(503), error(429, retry_after="1"), Drop(), Answer(body=b"<html>"))
        assert await probe(fake, maximum=1) == Capabilities()
    assert fake.most_in_flight == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RequestRefusedError), (401, MisconfiguredError), (503, BackendUnavailableError)],
)
async def test_a_model_that_does_not_answer_at_all_is_not_described(
    status: int, kind: type[Exception]
) -> None:
    async with serve() as fake:
        fake.script = lambda _: error(status)
        with pytest.raises(kind):
            await probe(fake)
