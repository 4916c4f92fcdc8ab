import json

import pytest

from app.chat.answers import AnswerReader, SameShape
from app.chat.base_models import CompletionAnswers
from app.chat.headers import answer_headers
from app.llm.sse import DONE
from optimizer.errors import MalformedResponseError


def reader(shape: SameShape | CompletionAnswers | None = None) -> AnswerReader:
    return AnswerReader(model="ours", backend="b", shape=shape or SameShape())


def test_the_answer_bears_the_name_that_was_asked_for() -> None:
    answers = reader()
    answer = answers.whole(b'{"model": "theirs", "choices": [{"odd": 1}], "more": true}')
    assert json.loads(answer) == {"model": "ours", "choices": [{"odd": 1}], "more": True}
    assert answers.told_model == "theirs"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"3", b'{"object": "x"}', b'{"choices": null}', b'{"choices": {}}']
)
def test_a_body_that_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError, match="backend b"):
        reader().whole(body)


DEEP = b"[" * 600 + b"]" * 600


def test_an_answer_nested_too_deeply_to_be_sent_on_is_malformed() -> None:
    body = b'{"choices": [], "odd": ' + DEEP + b"}"
    with pytest.raises(MalformedResponseError, match="backend b sent an answer that is nested too deeply"):
        reader().whole(body)
    with pytest.raises(MalformedResponseError, match="nested too deeply"):
        reader().frame(b"data: " + body + b"\n\n")


def test_a_frame_with_the_right_name_stays_the_same_bytes() -> None:
    frame = b'data: { "model" :"ours",  "choices":[] }\n\n'
    assert reader().frame(frame) is frame
    assert reader().frame(DONE) == DONE


@pytest.mark.parametrize(
    "content",
    ['"model": "theirs", ', "", '"model": null, ', '"model": "theirs", "nested": {"model": "ours"}, '],
)
def test_a_frame_with_another_name_is_renamed(content: str) -> None:
    frame = (
        "data: {" + content + '"choices": [{"delta": {"content": "\\"model\\":\\"ours\\""}}]}\n\n'
    ).encode()
    renamed = reader().frame(frame)
    assert renamed.startswith(b"data: {")
    assert renamed.endswith(b"}\n\n")
    event = json.loads(renamed.removeprefix(b"data: "))
    assert event.pop("model") == "ours"
    assert event["choices"] == [{"delta": {"content": '"model":"ours"'}}]


def test_a_completion_frame_changes_its_shape_under_the_same_name_too() -> None:
    frame = b'data: {"model":"ours","choices":[{"index":0,"text":"hi"}]}\n\n'
    event = json.loads(reader(CompletionAnswers()).frame(frame).removeprefix(b"data: "))
    assert event["object"] == "chat.completion.chunk"


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("frame", [b"data: {\n\n", b"data: [1]\n\n", b"data: hello\n\n"])
def test_a_frame_that_is_no_json_object_is_malformed(frame: bytes, is_first: bool) -> None:
    answers = reader()
    if not is_first:
        answers.frame(chunk())
    with pytest.raises(MalformedResponseError):
        answers.frame(frame)


def chunk(*, between: str = ":", text: str = "hi", **fields: object) -> bytes:
    """A frame under their names, written with ``between`` after the names of fields."""
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    event = {"id": "theirs-1", "model": "theirs", "choices": choices, **fields}
    return f"data: {json.dumps(event, separators=(',', between))}\n\n".encode()


def shown(frame: bytes) -> object:
    return json.loads(frame.removeprefix(b"data: "))


@pytest.mark.parametrize("between", [":", ": "])
@pytest.mark.parametrize(
    "later",
    [
        {},
        {"text": 'say "id":"theirs-1" and "model":"theirs"'},
        {"text": '"id":"theirs-1"', "tool": {"id": "theirs-1"}},
        {"id": "theirs-2"},
        {"id": None},
        {"model": "others", "nested": {"model": "theirs"}},
        {"more": 1.5e300, "wide": "é", "usage": None},
    ],
)
def test_a_later_frame_is_renamed_as_the_first_one_is(between: str, later: dict[str, object]) -> None:
    first, answers = named(), named()
    answers.frame(chunk(between=between))
    frame = chunk(between=between, **later)  # type: ignore[arg-type]
    assert shown(answers.frame(frame)) == shown(first.frame(frame))
    assert shown(answers.frame(frame)) == shown(frame) | {"id": "ours-1", "model": 'our"s'}  # type: ignore[operator]


def named() -> AnswerReader:
    return AnswerReader(model='our"s', backend="b", shape=SameShape(), answer_id="ours-1", hides_usage=True)


def test_what_a_later_frame_tells_is_read() -> None:
    answers = named()
    answers.frame(chunk())
    choices = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert shown(answers.frame(chunk(choices=choices)))
    assert answers.finish_reason == "stop"
    counts = {"prompt_tokens": 3, "completion_tokens": 2}
    assert answers.frame(chunk(choices=[], usage=counts)) == b""
    assert answers.usage is not None
    assert answers.usage.total_tokens == 5


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("org/model-1.5:free", "org/model-1.5:free"),
        ("a\r\nset-cookie: b", "a%0D%0Aset-cookie%3A%20b"),
        ("modèle", "mod%C3%A8le"),
        ("x" * 300, "x" * 256),
    ],
)
def test_a_backends_words_cannot_break_out_of_the_header(told: str, shown: str) -> None:
    headers = answer_headers(upstream_model=told, version_id=None, found_by=None)
    assert headers == {"x-drpo-upstream-model": shown, "x-drpo-prompt-version": "none"}
