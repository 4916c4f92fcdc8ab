import dataclasses
from random import Random
from typing import cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.capabilities import Capabilities
from app.llm.wire import (
    Api,
    fold_system,
    message_from_json,
    message_to_json,
    read_json,
    read_result,
    read_usage,
    request_body,
)
from optimizer.errors import MalformedResponseError
from optimizer.types import (
    CompletionRequest,
    CompletionResult,
    JsonObject,
    JsonValue,
    Message,
    OutputSchema,
    Sampling,
    Usage,
)

CLOSED: JsonObject = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "string"}}},
    "required": ["a"],
    "additionalProperties": False,
}
FULL = CompletionRequest(
    prompt=(Message(role="system", content="S"), Message(role="user", content="U", extra={"name": "n"})),
    sampling=Sampling(temperature=0.2, top_p=0.9, max_tokens=5, stop=("x",)),
    n=2,
    seed=3,
    output=OutputSchema(name="thing", schema=CLOSED),
)
NOTHING = Capabilities(
    system_role=False,
    sampling=False,
    n=False,
    seed=False,
    logprobs=False,
    json_schema=False,
    json_mode=False,
    max_tokens_field="max_completion_tokens",
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
texts = st.text(st.characters(codec="utf-8"))


def read(body: JsonValue, api: Api = "chat", n: int = 1) -> CompletionResult:
    request = CompletionRequest(prompt="p", n=n)
    return read_result(body, api=api, request=request, backend="b", model="asked", seconds=1.5)


def chat_choice(**fields: JsonValue) -> JsonObject:
    return {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop", **fields}


def test_a_chat_request_has_every_parameter() -> None:
    assert request_body(FULL, api="chat", model="m", can=Capabilities()) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "U", "name": "n"},
        ],
        "temperature": 0.2,
        "top_p": 0.9,
        "max_tokens": 5,
        "stop": ["x"],
        "seed": 3,
        "n": 2,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "thing", "schema": CLOSED, "strict": True},
        },
    }


def test_what_a_backend_cannot_take_is_left_out() -> None:
    assert request_body(FULL, api="chat", model="m", can=NOTHING) == {
        "model": "m",
        "messages": [{"role": "user", "content": "S\n\nU", "name": "n"}],
        "max_completion_tokens": 5,
        "stop": ["x"],
        "n": 2,
    }


@pytest.mark.parametrize("json_mode", [True, False])
def test_vllm_s_own_field_stands_in_for_a_schema(json_mode: bool) -> None:
    can = Capabilities(json_schema=False, json_mode=json_mode, structured_outputs=True)
    body = request_body(FULL, api="chat", model="m", can=can)
    assert body["structured_outputs"] == {"json": CLOSED}
    assert "response_format" not in body


def test_a_base_model_is_given_a_schema_by_vllm_s_own_field_alone() -> None:
    text = dataclasses.replace(FULL, prompt="Once")
    bodies = [
        request_body(text, api="completions", model="m", can=Capabilities(structured_outputs=known))
        for known in (True, False)
    ]
    assert [body.get("structured_outputs") for body in bodies] == [{"json": CLOSED}, None]
    assert not [body for body in bodies if "response_format" in body]


def test_json_mode_stands_in_for_a_schema() -> None:
    body = request_body(FULL, api="chat", model="m", can=Capabilities(json_schema=False))
    assert body["response_format"] == {"type": "json_object"}


def test_unset_parameters_are_not_sent() -> None:
    request = CompletionRequest(prompt=(Message(role="user", content="U"),))
    body = request_body(request, api="chat", model="m", can=Capabilities())
    assert body == {"model": "m", "messages": [{"role": "user", "content": "U"}]}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        {"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False},
        {**CLOSED, "$defs": {"x": {"type": "object"}}},
        {"anyOf": [{"type": "object"}]},
    ],
)
def test_only_a_closed_schema_is_enforced_strictly(schema: JsonObject) -> None:
    request = CompletionRequest(prompt=(), output=OutputSchema(name="thing", schema=schema))
    body = request_body(request, api="chat", model="m", can=Capabilities())
    form = cast("dict[str, dict[str, JsonValue]]", body["response_format"])
    assert form["json_schema"]["strict"] is False


def test_a_base_model_gets_plain_text() -> None:
    request = CompletionRequest(prompt="Once", sampling=Sampling(max_tokens=4), seed=1, output=FULL.output)
    can = Capabilities(max_tokens_field="max_completion_tokens")
    assert request_body(request, api="completions", model="m", can=can) == {
        "model": "m",
        "prompt": "Once",
        "max_tokens": 4,
        "seed": 1,
    }


def test_a_prompt_of_the_wrong_kind_is_a_mistake_in_the_program() -> None:
    with pytest.raises(TypeError, match="plain text, not a conversation"):
        request_body(FULL, api="completions", model="m", can=Capabilities())
    with pytest.raises(TypeError, match="conversation, not plain text"):
        request_body(CompletionRequest(prompt="p"), api="chat", model="m", can=Capabilities())


def test_system_text_goes_before_the_first_user_message() -> None:
    parts: JsonValue = [{"type": "text", "text": "look"}]
    folded = fold_system(
        [
            Message(role="assistant", content="A"),
            Message(role="user", content=parts),
            Message(role="developer", content="D"),
            Message(role="user", content="later"),
            Message(role="system", content="S"),
        ]
    )
    assert [message.role for message in folded] == ["assistant", "user", "user"]
    assert folded[1].content == [{"type": "text", "text": "D\n\nS"}, {"type": "text", "text": "look"}]
    assert folded[2].content == "later"


def test_system_text_without_a_user_message_becomes_one() -> None:
    assert fold_system([Message(role="system", content="S")]) == (Message(role="user", content="S"),)
    assert fold_system([Message(role="user", content="U")]) == (Message(role="user", content="U"),)


@given(turn=st.dictionaries(texts, json_values, max_size=5), role=texts, content=json_values)
def test_a_turn_survives_reading_and_writing(turn: JsonObject, role: str, content: JsonValue) -> None:
    turn |= {"role": role, "content": content}
    assert message_to_json(message_from_json(turn)) == turn


@given(
    answers=st.lists(st.tuples(texts, st.none() | texts, json_values), min_size=1, max_size=5),
    order=st.randoms(use_true_random=False),
    api=st.sampled_from(["chat", "completions"]),
    tokens=st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)),
)
def test_answers_are_read_as_they_were_written(
    answers: list[tuple[str, str | None, JsonValue]], order: Random, api: Api, tokens: tuple[int, int]
) -> None:
    choices: list[JsonValue] = []
    for index, (text, reason, logprobs) in enumerate(answers):
        said: JsonObject = {"message": {"content": text}} if api == "chat" else {"text": text}
        choices.append({"index": index, "finish_reason": reason, "logprobs": logprobs, **said})
    order.shuffle(choices)
    usage: JsonObject = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    body = read_json(orjson.dumps({"model": "m", "choices": choices, "usage": usage}), backend="b")
    result = read(body, api, n=len(answers))
    assert [completion.text for completion in result.completions] == [text for text, _, _ in answers]
    assert [completion.finish_reason for completion in result.completions] == [
        reason or None for _, reason, _ in answers
    ]
    assert result.usage == Usage(prompt_tokens=tokens[0], completion_tokens=tokens[1])
    assert (result.model, result.seconds) == ("m", 1.5)


@given(
    body=json_values | st.fixed_dictionaries({"choices": st.lists(json_values, max_size=3)}),
    n=st.integers(1, 3),
)
def test_any_json_is_an_answer_or_a_model_error(body: JsonValue, n: int) -> None:
    apis: tuple[Api, ...] = ("chat", "completions")
    for api in apis:
        try:
            result = read(body, api, n)
        except MalformedResponseError:
            continue
        assert len(result.completions) == n


@given(content=st.binary())
def test_any_bytes_are_json_or_a_model_error(content: bytes) -> None:
    try:
        value = read_json(content, backend="b")
    except MalformedResponseError:
        return
    assert orjson.loads(orjson.dumps(value)) == value


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"choices": None},
        {"choices": {}},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"text": "hi"}]},
        {"choices": [chat_choice(), chat_choice()]},
        {"choices": [chat_choice(message="hi")]},
        {"choices": [chat_choice(message={"content": 3})]},
        {"choices": [chat_choice(finish_reason=3)]},
    ],
)
def test_what_is_not_the_protocol_is_refused(body: JsonValue) -> None:
    with pytest.raises(MalformedResponseError, match="backend b sent a body that is not the OpenAI protocol"):
        read(body)
    with pytest.raises(MalformedResponseError):
        read(body, "completions", n=2)


def test_small_differences_between_backends_are_taken() -> None:
    parts: JsonValue = [{"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "two"}]
    body: JsonObject = {
        "model": "",
        "usage": None,
        "choices": [
            chat_choice(index=None, finish_reason="", message={"content": parts}),
            chat_choice(index=None, finish_reason=None, message={"content": None}),
            chat_choice(index=None, message={"content": None, "refusal": "I will not."}),
        ],
    }
    result = read(body, n=3)
    assert [completion.text for completion in result.completions] == ["one\ntwo", "", "I will not."]
    assert [completion.finish_reason for completion in result.completions] == [None, None, "stop"]
    assert (result.model, result.usage) == ("asked", None)


@pytest.mark.parametrize(
    "usage",
    [
        3,
        {},
        {"prompt_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": -1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": "1", "completion_tokens": 1},
        {"prompt_tokens": 2**40, "completion_tokens": 1},
    ],
)
def test_token_counts_that_make_no_sense_are_unknown(usage: JsonValue) -> None:
    assert read_usage(usage) is None


def test_half_characters_that_models_escape_are_replaced_and_not_refused() -> None:
    body = b'{"text": "a\\ud83d b \\ud83d\\ude00"}'
    assert read_json(body, backend="local") == {"text": "a\ufffd b \U0001f600"}


@pytest.mark.parametrize("body", [b'{"text": "\\ud83d", "n": NaN}', b'{"text": "\\ud83d"'])
def test_what_is_no_json_stays_refused_with_half_characters_in_it(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        read_json(body, backend="local")


@pytest.mark.parametrize(
    ("api", "prompt", "asked"),
    [
        ("chat", (Message(role="user", content="Hi"),), {"logprobs": True, "top_logprobs": 3}),
        ("completions", "Hi", {"logprobs": 3}),
    ],
)
def test_log_probabilities_are_asked_for_where_the_backend_has_them(
    api: Api, prompt: str | tuple[Message, ...], asked: JsonObject
) -> None:
    request = CompletionRequest(prompt=prompt, top_logprobs=3)
    body = request_body(request, api=api, model="m", can=Capabilities())
    assert {name: value for name, value in body.items() if "logprobs" in name} == asked
    without = request_body(request, api=api, model="m", can=Capabilities(logprobs=False))
    assert "logprobs" not in without
