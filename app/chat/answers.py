"""A backend's answers as the caller gets them: under the name of the model that was asked for."""

from typing import Final, Protocol

import orjson
from typing_extensions import override

from app.errors import answer_to
from app.llm.sse import DONE, payload
from app.llm.wire import read_json, read_usage
from optimizer.errors import MalformedResponseError, ModelError
from optimizer.types import JsonObject, JsonValue, Usage

_DATA: Final = len(b"data: ")
_NO_REASON: Final = b'"finish_reason":null'


class AnswerShape(Protocol):
    """Turns a backend's JSON into that of the API that was asked."""

    def whole(self, reply: JsonObject) -> JsonObject:
        """A whole answer."""
        ...

    def chunk(self, event: JsonObject) -> JsonObject:
        """One event of a stream; ``event`` itself where nothing has to change."""
        ...


class SameShape(AnswerShape):
    """What the backend sends has the right shape already."""

    @override
    def whole(self, reply: JsonObject) -> JsonObject:
        return reply

    @override
    def chunk(self, event: JsonObject) -> JsonObject:
        return event


class Reader(Protocol):
    """Reads one response of a backend, and writes what the caller is sent.

    Attributes:
        told_model: the model id that the backend reports, as soon as it was seen.
        usage: the token counts that it reports, as soon as they were seen.
        finish_reason: why its first answer ended, as soon as it says so.
    """

    told_model: str | None
    usage: Usage | None
    finish_reason: str | None

    def whole(self, body: bytes) -> bytes:
        """The answer in a 2xx body.

        Raises:
            MalformedResponseError: it is none.
        """
        ...

    def frame(self, frame: bytes) -> bytes:
        """What one frame of a stream, ``[DONE]`` among them, becomes; nothing where the caller needs none.

        Raises:
            MalformedResponseError: its data is no JSON object that can be sent on.
        """
        ...

    def broken(self, error: ModelError) -> bytes:
        """The last frame of a stream that breaks with ``error``."""
        ...


class AnswerReader(Reader):
    """Reads chat completions, plain completions and embeddings."""

    def __init__(
        self,
        *,
        model: str,
        backend: str,
        shape: AnswerShape,
        answer_id: str | None = None,
        hides_usage: bool = False,
        embeds: bool = False,
    ) -> None:
        """A reader of one response.

        Args:
            model: what the caller asked for.
            backend: the backend's configured name.
            shape: how its answers become what the caller's API has.
            answer_id: what the caller knows the answer by; None for what the backend calls it.
            hides_usage: whether the caller did not ask for the token counts that a stream ends with.
            embeds: whether the answer is ``data`` instead of ``choices``, with no tokens but those read.
        """
        self.told_model: str | None = None
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self._backend = backend
        self._shape = shape
        self._ours: JsonObject = {"model": model} if answer_id is None else {"model": model, "id": answer_id}
        self._holding = "data" if embeds else "choices"
        self._hides_usage = hides_usage
        self._writes_tokens = not embeds
        self._marks: tuple[tuple[bytes, bytes], ...] | None = None
        self._theirs: JsonObject = {}

    @override
    def whole(self, body: bytes) -> bytes:
        return self._written(self.read_whole(body))

    @override
    def frame(self, frame: bytes) -> bytes:
        if frame == DONE:
            return frame
        if self._marks is not None and (marked := self._marked(frame)) is not None:
            return marked
        event = self._read(payload(frame))
        if self._hides_usage and event.get("usage") and not event.get("choices"):
            return b""
        shaped = self._shape.chunk(event)
        if shaped is event:
            if all(event.get(name) == value for name, value in self._ours.items()):
                return frame
            self._learn(frame, event)
        return b"data: " + self._written(shaped) + b"\n\n"

    def _learn(self, frame: bytes, event: JsonObject) -> None:
        """Note how this stream writes what we replace: mostly all its frames do it in the same way."""
        self._theirs = {name: event.get(name) for name in self._ours}
        found = [_written_in(frame, name, value) for name, value in self._theirs.items()]
        marks = [
            (theirs, b'"%s":%s' % (name.encode(), orjson.dumps(ours)))
            for theirs, (name, ours) in zip(found, self._ours.items(), strict=True)
            if theirs is not None
        ]
        self._marks = tuple(marks) if len(marks) == len(found) else None

    def _marked(self, frame: bytes) -> bytes | None:
        """``frame`` with ours in the place of theirs, as bytes; None where it has to be read as a whole.

        That is so where it is no JSON, holds token counts, or anything like what is to be replaced twice.
        """
        try:
            event: JsonValue = orjson.loads(frame[_DATA:])
        except orjson.JSONDecodeError:
            return None
        if not isinstance(event, dict) or event.get("usage") is not None:
            return None
        for name, value in self._theirs.items():
            if event.get(name) != value:
                return None
        marked = frame
        for theirs, ours in self._marks or ():
            if frame.count(theirs) != 1:
                return None
            marked = marked.replace(theirs, ours)
        if _NO_REASON not in frame:
            self.finish_reason = _finish_reason(event.get("choices")) or self.finish_reason
        return marked

    @override
    def broken(self, error: ModelError) -> bytes:
        return b"data: " + orjson.dumps(told_error(error)) + b"\n\n"

    def read_whole(self, body: bytes) -> JsonObject:
        """The answer in a 2xx body, in the caller's shape.

        Raises:
            MalformedResponseError: it is none.
        """
        reply = self._read(body)
        if not isinstance(reply.get(self._holding), list):
            raise self.malformed(f"an answer without {self._holding}")
        return self._shape.whole(reply)

    def read_event(self, frame: bytes) -> JsonObject:
        """One event of a stream, in the caller's shape.

        Raises:
            MalformedResponseError: its data is no JSON object.
        """
        return self._shape.chunk(self._read(payload(frame)))

    def malformed(self, what: str) -> MalformedResponseError:
        """The error that says what the backend has sent."""
        return MalformedResponseError(f"backend {self._backend} sent {what}", backend=self._backend)

    def _written(self, answer: JsonObject) -> bytes:
        try:
            return orjson.dumps({**answer, **self._ours})
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            raise self.malformed("an answer that is nested too deeply") from None

    def _read(self, content: bytes) -> JsonObject:
        value: JsonValue = read_json(content, backend=self._backend)
        if not isinstance(value, dict):
            raise self.malformed("a value that is no JSON object")
        told = value.get("model")
        if isinstance(told, str) and told:
            self.told_model = told
        usage = value.get("usage")
        if isinstance(usage, dict):
            counts = usage if self._writes_tokens else {"completion_tokens": 0, **usage}
            self.usage = read_usage(counts) or self.usage
        self.finish_reason = _finish_reason(value.get("choices")) or self.finish_reason
        return value


def _written_in(frame: bytes, name: str, value: JsonValue) -> bytes | None:
    """How ``frame`` writes the field ``name``, if it does so once."""
    if not isinstance(value, str):
        return None
    for between in (b":", b": "):
        written = b'"%s"%s%s' % (name.encode(), between, orjson.dumps(value))
        if frame.count(written) == 1:
            return written
    return None


def _finish_reason(choices: JsonValue) -> str | None:
    first = choices[0] if isinstance(choices, list) and choices else None
    told = first.get("finish_reason") if isinstance(first, dict) else None
    return told if isinstance(told, str) else None


def told_error(error: ModelError) -> JsonObject:
    """The envelope of a failure after the status was sent."""
    answer = answer_to(error)
    if answer is None:
        raise error
    return answer.body()
