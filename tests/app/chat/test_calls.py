import pytest

from app.chat.answers import AnswerReader, SameShape
from app.chat.calls import PreparedCall
from app.errors import ApiError
from optimizer.types import JsonObject
from tests.fakes.unasked import Unasked


def call(body: JsonObject) -> PreparedCall:
    return PreparedCall(
        upstream=Unasked(),
        path="chat/completions",
        body=body,
        reader=AnswerReader(model="m", backend="b", shape=SameShape()),
        model="m",
        backend="b",
        upstream_model="m",
    )


def test_a_body_is_sent_as_json() -> None:
    assert call({"model": "m", "odd": [1, None]}).content() == b'{"model":"m","odd":[1,null]}'


def test_half_a_character_is_the_callers_fault() -> None:
    with pytest.raises(ApiError) as caught:
        call({"model": "\ud800"}).content()
    assert caught.value.answer.status == 400
