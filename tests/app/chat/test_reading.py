import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.reading import read_request
from app.chat.schemas import AlignmentOptions, ChatRequest
from app.errors import ApiError, ErrorAnswer
from optimizer.types import JsonObject, JsonValue

GOOD: JsonObject = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def read(headers: Mapping[str, str] | None = None, **changes: object) -> ChatRequest:
    return read_request(json.dumps(GOOD | changes).encode(), headers or {})


def refused(content: bytes, headers: Mapping[str, str] | None = None) -> ErrorAnswer:
    with pytest.raises(ApiError) as caught:
        read_request(content, headers or {})
    assert caught.value.answer.status == 400
    return caught.value.answer


def test_the_body_is_kept_but_for_our_extension() -> None:
    odd: JsonValue = [1, {"a": None}]
    request = read(odd=odd, drpo={"align": False})
    assert request.body == {**GOOD, "odd": odd}
    assert request.messages == ({"role": "user", "content": "hi"},)
    assert (request.model, request.stream) == ("m", False)
    assert request.options == AlignmentOptions(align=False)


@pytest.mark.parametrize(("value", "stream"), [(True, True), (False, False), (None, False)])
def test_stream_is_a_switch(value: bool | None, stream: bool) -> None:
    assert read(stream=value).stream is stream


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "user"}, "hi"]}, "messages.1"),
        ({"messages": [{"content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": ""}]}, "messages.0.role"),
        ({"messages": [{"role": ["user"]}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "system", "content": {"text": "hi"}}]}, "messages.0.content"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"drpo": []}, "drpo"),
        ({"drpo": "no"}, "drpo"),
        ({"drpo": {"align": "false"}}, "drpo.align"),
        ({"drpo": {"prompt_version": 3}}, "drpo.prompt_version"),
        ({"drpo": {"prompt_version": ""}}, "drpo.prompt_version"),
        ({"drpo": {"caller_system": "first"}}, "drpo.caller_system"),
        ({"drpo": {"prompt_version": "pv_1", "label": "production"}}, "drpo.label"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_field(changes: JsonObject, param: str) -> None:
    answer = refused(json.dumps(GOOD | changes).encode())
    assert answer.param == param
    assert param in answer.message


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    answer = refused(json.dumps(GOOD | {"drpo": {"version": "pv_1"}}).encode())
    assert answer.param == "drpo.version"
    assert "prompt_version, label, align, caller_system" in answer.message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"hi"', b"\xff", b'{"model": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_refused(content: bytes) -> None:
    assert "JSON" in refused(content).message


def test_headers_say_the_same_as_the_body() -> None:
    headers = {"x-drpo-prompt-version": "pv_1", "x-drpo-align": "False"}
    assert read(headers).options == AlignmentOptions(prompt_version="pv_1", align=False)
    assert read({"x-drpo-align": "1"}).options == AlignmentOptions(align=True)


def test_the_body_wins_over_the_headers() -> None:
    headers = {"x-drpo-prompt-version": "pv_1", "x-drpo-align": "false"}
    own: JsonObject = {"prompt_version": "pv_2", "align": True}
    assert read(headers, drpo=own).options == AlignmentOptions(prompt_version="pv_2", align=True)
    assert read(headers, drpo={"prompt_version": None}).options == AlignmentOptions(align=False)
    assert read(headers, drpo={"label": "next"}).options == AlignmentOptions(label="next", align=False)


def test_a_switch_that_is_none_is_refused() -> None:
    answer = refused(json.dumps(GOOD).encode(), {"x-drpo-align": "off, please"})
    assert answer.param == "x-drpo-align"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "model": JSON | st.just("m"),
        "messages": JSON | st.lists(st.fixed_dictionaries({"role": JSON, "content": JSON}), max_size=2),
        "stream": JSON,
        "drpo": JSON
        | st.fixed_dictionaries(
            {}, optional=dict.fromkeys(["prompt_version", "label", "align", "caller_system"], JSON)
        ),
    },
)


@given(FIELDS | JSON, st.dictionaries(st.sampled_from(["x-drpo-align", "x-drpo-prompt-version"]), st.text()))
def test_any_body_is_a_request_or_a_400(body: object, headers: dict[str, str]) -> None:
    request: ChatRequest | None = None
    status = 200
    try:
        request = read_request(json.dumps(body).encode(), headers)
    except ApiError as error:
        status = error.answer.status
    if request is None:
        assert status == 400
        return
    assert isinstance(body, dict)
    assert request.body == {name: value for name, value in body.items() if name != "drpo"}
    assert list(request.messages) == body["messages"]
