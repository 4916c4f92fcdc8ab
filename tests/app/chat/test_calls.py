from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
from typing_extensions import override

from app.chat.answers import AnswerReader, SameShape
from app.chat.calls import PreparedCall
from app.errors import ApiError
from app.llm.http import RawResponse
from app.llm.passthrough import Upstream
from app.llm.wire import Path
from optimizer.types import JsonObject


class Nobody(Upstream):
    """Is never asked."""

    @override
    async def send(self, body: bytes, path: Path) -> RawResponse:
        raise NotImplementedError

    @override
    def stream(self, body: bytes, path: Path) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        raise NotImplementedError


def call(body: JsonObject) -> PreparedCall:
    return PreparedCall(
        upstream=Nobody(),
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
