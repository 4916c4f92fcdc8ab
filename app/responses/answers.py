"""Chat completions as responses."""

import orjson
from typing_extensions import override

from app.chat.answers import AnswerReader, Reader, told_error
from app.llm.sse import DONE
from app.responses.event_stream import ResponseEvents
from app.responses.objects import (
    ResponseFrame,
    call_item,
    ended_status,
    logprobs_of,
    message_item,
    reasoning_item,
    refusal_part,
    text_part,
    told_text,
    usage_of,
)
from optimizer.errors import ModelError
from optimizer.types import JsonObject, Usage


class ResponseReader(Reader):
    """Reads one chat completion, whole or streamed, and writes the response that it is."""

    def __init__(self, inner: AnswerReader, frame: ResponseFrame) -> None:
        """Read with ``inner`` what becomes the response that ``frame`` describes."""
        self._inner = inner
        self._frame = frame
        self._events = ResponseEvents(frame)

    @property
    @override
    def told_model(self) -> str | None:  # type: ignore[override]
        return self._inner.told_model

    @property
    @override
    def usage(self) -> Usage | None:  # type: ignore[override]
        return self._inner.usage

    @property
    @override
    def finish_reason(self) -> str | None:  # type: ignore[override]
        return self._inner.finish_reason

    @override
    def whole(self, body: bytes) -> bytes:
        reply = self._inner.read_whole(body)
        choices = reply["choices"]
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise self._inner.malformed("an answer without a message")
        reason = told_text(choice, "finish_reason") or None
        status = ended_status(reason)
        output = self._output(choice, message)
        if output:  # what was written last is what was cut short
            output[-1]["status"] = status
        response = self._frame.response(
            status,
            output,
            usage=usage_of(reply.get("usage")),
            finish_reason=reason,
        )
        return self._written(response)

    @override
    def frame(self, frame: bytes) -> bytes:
        if frame == DONE:
            if not self._events.has_choice:
                raise self._inner.malformed("a stream without an answer")
            return self._framed(self._events.end())
        return self._framed(self._events.of_chunk(self._inner.read_event(frame)))

    @override
    def broken(self, error: ModelError) -> bytes:
        told = told_error(error)["error"]
        return self._framed([self._events.broken(told if isinstance(told, dict) else {})])

    def _output(self, choice: JsonObject, message: JsonObject) -> list[JsonObject]:
        output: list[JsonObject] = []
        if thought := told_text(message, "reasoning_content", "reasoning"):
            output.append(reasoning_item(self._frame.item_id("rs", len(output)), thought, "completed"))
        parts: list[JsonObject] = []
        if text := told_text(message, "content"):
            parts.append(text_part(text, logprobs_of(choice)))
        if refusal := told_text(message, "refusal"):
            parts.append(refusal_part(refusal))
        if parts:
            output.append(message_item(self._frame.item_id("msg", len(output)), parts, "completed"))
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict) and isinstance(function := call.get("function"), dict):
                item_id = self._frame.item_id("fc", len(output))
                output.append(
                    call_item(
                        item_id,
                        call_id=told_text(call, "id") or item_id,
                        name=told_text(function, "name"),
                        arguments=told_text(function, "arguments"),
                        status="completed",
                    )
                )
        return output

    def _framed(self, events: list[JsonObject]) -> bytes:
        return b"".join(
            b"event: " + str(event["type"]).encode() + b"\ndata: " + self._written(event) + b"\n\n"
            for event in events
        )

    def _written(self, value: JsonObject) -> bytes:
        try:
            return orjson.dumps(value)
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            raise self._inner.malformed("an answer that is nested too deeply") from None
