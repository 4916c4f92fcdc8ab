"""A backend's answers as the caller gets them: under the name of the model that was asked for."""

from typing import Protocol

import orjson
from typing_extensions import override

from app.llm.sse import DONE, payload
from app.llm.wire import read_json
from optimizer.errors import MalformedResponseError
from optimizer.types import JsonObject, JsonValue


class AnswerShape(Protocol):
    """Turns a backend's JSON into that of chat completions."""

    def whole(self, reply: JsonObject) -> JsonObject:
        """A whole answer."""
        ...

    def chunk(self, event: JsonObject) -> JsonObject:
        """One event of a stream; ``event`` itself where nothing has to change."""
        ...


class ChatAnswers(AnswerShape):
    """What a chat backend sends has the right shape already."""

    @override
    def whole(self, reply: JsonObject) -> JsonObject:
        return reply

    @override
    def chunk(self, event: JsonObject) -> JsonObject:
        return event


class AnswerReader:
    """Reads one response.

    Attributes:
        told_model: the model id that the backend reports, as soon as it was seen.
    """

    def __init__(self, *, model: str, backend: str, shape: AnswerShape) -> None:
        """A reader of one response.

        Args:
            model: what the caller asked for.
            backend: the backend's configured name.
            shape: how its answers become chat completions.
        """
        self.told_model: str | None = None
        self._model = model
        self._backend = backend
        self._shape = shape

    def whole(self, body: bytes) -> bytes:
        """The answer in a 2xx body.

        Raises:
            MalformedResponseError: it is none.
        """
        reply = self._read(body)
        if not isinstance(reply.get("choices"), list):
            raise self._malformed("an answer without choices")
        return self._written(self._shape.whole(reply))

    def frame(self, frame: bytes) -> bytes:
        """One frame of a stream: the same bytes, unless the model's name or the shape has to change.

        Raises:
            MalformedResponseError: its data is no JSON object that can be sent on.
        """
        if frame == DONE:
            return frame
        event = self._read(payload(frame))
        shaped = self._shape.chunk(event)
        if shaped is event and event.get("model") == self._model:
            return frame
        return b"data: " + self._written(shaped) + b"\n\n"

    def _written(self, answer: JsonObject) -> bytes:
        try:
            return orjson.dumps({**answer, "model": self._model})
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            raise self._malformed("an answer that is nested too deeply") from None

    def _read(self, content: bytes) -> JsonObject:
        value: JsonValue = read_json(content, backend=self._backend)
        if not isinstance(value, dict):
            raise self._malformed("a value that is no JSON object")
        told = value.get("model")
        if isinstance(told, str) and told:
            self.told_model = told
        return value

    def _malformed(self, what: str) -> MalformedResponseError:
        return MalformedResponseError(f"backend {self._backend} sent {what}", backend=self._backend)
