import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access.estimates import SizedRequest, likely_tokens, uncounted, upper_bound
from optimizer.types import JsonObject, JsonValue, Usage

TEXT: JsonObject = {"role": "user", "content": "How are you?"}


def sized(body: JsonObject, *, generates: bool = True) -> SizedRequest:
    size = len(json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return SizedRequest(body=body, size=size, generates=generates)


def bound(**fields: JsonValue) -> Usage:
    return upper_bound(sized({"model": "m", "messages": [TEXT], **fields}), assumed_answer=100)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, 100),
        ({"max_tokens": 7}, 7),
        ({"max_tokens": 7, "max_completion_tokens": 9}, 9),
        ({"max_tokens": 900, "max_completion_tokens": 1}, 900),
        ({"max_tokens": 900.0, "n": 2.0}, 1800),
        ({"max_tokens": "900"}, 900),
        ({"max_tokens": 7.5}, 100),
        ({"max_tokens": 7, "prompt": ["a", "b", "c"]}, 21),
        ({"max_tokens": 7, "prompt": ["a", "b"], "best_of": 5}, 70),
        ({"max_tokens": 7, "prompt": [[1, 2], [3]]}, 14),
        ({"max_tokens": 7, "prompt": [1, 2, 3]}, 7),
        ({"max_tokens": 7, "prompt": "abc"}, 7),
        ({"max_output_tokens": 5}, 5),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"max_tokens": 7, "best_of": 4, "n": 2}, 28),
        ({"max_tokens": None, "n": None}, 100),
        ({"max_tokens": "x", "n": -1}, 100),
        ({"max_tokens": 10**12, "n": 10**9}, 2**31 - 1),
    ],
)
def test_an_answer_is_bounded_by_what_the_request_allows(fields: JsonObject, tokens: int) -> None:
    assert bound(**fields).completion_tokens == tokens


def test_nothing_is_generated_where_there_are_no_answers() -> None:
    assert (
        upper_bound(
            sized({"input": "x", "max_tokens": 7}, generates=False), assumed_answer=9
        ).completion_tokens
        == 0
    )


@given(st.text(max_size=50))
def test_a_prompt_never_has_more_tokens_than_bytes(text: str) -> None:
    found = bound(messages=[{"role": "user", "content": text}])
    assert found.prompt_tokens >= len(text.encode("utf-8", "surrogatepass"))
    assert likely_tokens(found) < found.prompt_tokens + found.completion_tokens


def test_an_image_counts_flat_and_a_recording_by_its_length() -> None:
    data = "x" * 1_000_000
    image: JsonObject = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    sound: JsonObject = {"type": "input_audio", "input_audio": {"data": data}}
    plain = bound(messages=[{"role": "user", "content": []}]).prompt_tokens
    assert 4000 < bound(messages=[{"role": "user", "content": [image]}]).prompt_tokens - plain < 4200
    recorded = bound(messages=[{"role": "user", "content": [sound]}]).prompt_tokens - plain
    assert 250_000 <= recorded < 251_000
    file: JsonObject = {"type": "file", "file": {"filename": "x", "file_data": data}}
    filed = bound(messages=[{"role": "user", "content": [file]}]).prompt_tokens - plain
    assert 250_000 <= filed < 251_000


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "type": "image_url", "content": "x" * 100_000},
        {"role": "user", "type": "image_url", "image_url": {"url": "x" * 100_000}},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": ""}, "text": "x" * 100_000}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"text": "x" * 100_000}}]},
        {"role": "user", "content": [{"type": "text", "image_url": {"url": "x"}, "text": "x" * 100_000}]},
        {"role": "user", "content": [{"content": [{"type": "image_url", "image_url": "x" * 100_000}]}]},
    ],
)
def test_text_that_is_called_an_attachment_counts_as_text(message: JsonObject) -> None:
    assert bound(messages=[message]).prompt_tokens > 100_000


def test_no_attachment_makes_a_request_smaller_than_the_rest_of_it() -> None:
    image: JsonObject = {"type": "image_url", "image_url": "x" * 10, "text": "y" * 5000}
    found = bound(messages=[{"role": "user", "content": [image, image]}])
    assert found.prompt_tokens > 2 * (4096 + 5000)


def test_odd_bodies_are_measured_as_well() -> None:
    deep: JsonValue = "x"
    for _ in range(900):
        deep = {"content": deep}
    assert bound(messages=[deep]).prompt_tokens > 900
    part: JsonObject = {"type": ["image_url"], "image_url": "x"}
    assert bound(messages=[{"role": "user", "content": [part]}]).prompt_tokens > 0
    assert bound(messages=3).prompt_tokens > 0


def test_what_nobody_counted_is_taken_to_be_what_was_seen() -> None:
    most = Usage(prompt_tokens=400, completion_tokens=50)
    assert uncounted(most, 7) == Usage(prompt_tokens=100, completion_tokens=7)
    assert uncounted(most, 70).completion_tokens == 70
    assert uncounted(Usage(prompt_tokens=400), 70) == Usage(prompt_tokens=100)
