"""A span for each call of a model, with the attributes of the conventions for generative AI."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import orjson
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from app.telemetry import semconv
from app.telemetry.tracing import CANCELLED, Tracing, fail
from optimizer.types import JsonObject, JsonValue

_TEXT: Final = 32_768
"""The most characters of a text that a span holds."""


class CallSpan:
    """The span of one call under way.

    Attributes:
        span: it.
        is_recording: whether anybody will see what is said of it.
        records_content: whether that may be content.
    """

    def __init__(self, span: Span, *, records_content: bool) -> None:
        """Around ``span``."""
        self.span = span
        self.is_recording = span.is_recording()
        self.records_content = records_content and self.is_recording
        self._began = time.monotonic()
        self._texts: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}
        self._length = 0

    def asked(self, body: JsonObject) -> None:
        """This is what is asked."""
        self.span.set_attributes(request_attributes(body))
        if self.records_content:
            self.span.set_attribute(semconv.INPUT_MESSAGES, input_messages(body))

    def answered(self, body: JsonObject) -> None:
        """The whole answer has come, or a piece of it."""
        self._say(semconv.RESPONSE_ID, body.get("id"))
        self._say(semconv.RESPONSE_MODEL, body.get("model"))
        usage = body.get("usage")
        if isinstance(usage, dict):
            self._say(semconv.USAGE_INPUT_TOKENS, usage.get("prompt_tokens"))
            self._say(semconv.USAGE_OUTPUT_TOKENS, usage.get("completion_tokens"))
        choices = body.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                self._read(choice)

    def first_chunk(self) -> None:
        """The first piece of a stream has come."""
        self.span.set_attribute(semconv.RESPONSE_TIME_TO_FIRST_CHUNK, time.monotonic() - self._began)

    def failed(self, error: Exception) -> None:
        """It has ended in ``error``, whose class is told and whose message is not: it may hold content."""
        fail(self.span, type(error).__name__)

    def finish(self) -> None:
        """Say what was gathered."""
        if self._reasons:
            told = [reason for _, reason in sorted(self._reasons.items())]
            self.span.set_attribute(semconv.RESPONSE_FINISH_REASONS, told)
        if self._texts:
            messages = [
                {
                    "role": "assistant",
                    "parts": [_text_part("".join(pieces))],
                    "finish_reason": self._reasons.get(index, ""),
                }
                for index, pieces in sorted(self._texts.items())
            ]
            self.span.set_attribute(semconv.OUTPUT_MESSAGES, orjson.dumps(messages).decode())

    def _read(self, choice: JsonObject) -> None:
        reason, index = choice.get("finish_reason"), choice.get("index")
        index = index if isinstance(index, int) else 0
        if isinstance(reason, str):
            self._reasons[index] = reason
        if not self.records_content or self._length > _TEXT:
            return
        message = choice.get("message", choice.get("delta"))
        text = message.get("content") if isinstance(message, dict) else choice.get("text")
        if isinstance(text, str):
            self._length += len(text)
            self._texts.setdefault(index, []).append(text)

    def _say(self, name: str, value: JsonValue) -> None:
        if isinstance(value, str | int) and value != "":
            self.span.set_attribute(name, value)


class CallSpans:
    """Begins them."""

    def __init__(self, tracing: Tracing) -> None:
        """Spans of ``tracing``."""
        self._tracing = tracing

    @contextmanager
    def call(
        self, path: str, model: str, attributes: Mapping[str, str | int], *, parent: Context | None
    ) -> Iterator[CallSpan]:
        """The span of a call that is made inside, ended by how that ends.

        Args:
            path: of the protocol, such as ``chat/completions``.
            model: the backend's name for the model.
            attributes: further ones.
            parent: what the call belongs to; None for a trace of its own.
        """
        operation = semconv.OPERATIONS[path]
        span = self._tracing.start(
            f"{operation} {model}",
            parent=parent,
            kind=SpanKind.CLIENT,
            attributes={
                semconv.OPERATION_NAME: operation,
                semconv.PROVIDER_NAME: semconv.OPENAI,
                semconv.REQUEST_MODEL: model,
                **attributes,
            },
        )
        call = CallSpan(span, records_content=self._tracing.options.records_content)
        try:
            yield call
        except Exception as error:
            call.failed(error)
            raise
        except BaseException:
            fail(span, CANCELLED)
            raise
        finally:
            call.finish()
            span.end()


def request_attributes(body: JsonObject) -> dict[str, str | int | float | bool]:
    """What a request's body says about how it is to be answered, without its content."""
    found: dict[str, str | int | float | bool] = {}
    for field, (name, kinds) in semconv.REQUEST_FIELDS.items():
        value = body.get(field)
        if isinstance(value, int | float) and isinstance(value, kinds) and not isinstance(value, bool):
            found[name] = value
    count = body.get("n")
    if isinstance(count, int) and count != 1:
        found[semconv.REQUEST_CHOICE_COUNT] = count
    if body.get("stream") is True:
        found[semconv.REQUEST_STREAM] = True
    return found


def input_messages(body: JsonObject) -> str:
    """The content of a request's body, as the conventions' JSON."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        prompt = body.get("prompt", body.get("input"))
        messages = [{"role": "user", "content": prompt if isinstance(prompt, str) else ""}]
    told = [_message(turn) for turn in messages if isinstance(turn, dict)]
    return orjson.dumps(told).decode()


def _message(turn: JsonObject) -> JsonObject:
    content = turn.get("content")
    texts: list[JsonValue] = []
    if isinstance(content, str):
        texts.append(_text_part(content))
    parts = content if isinstance(content, list) else []
    told = (part.get("text") for part in parts if isinstance(part, dict))
    texts.extend(_text_part(text) for text in told if isinstance(text, str))
    return {"role": str(turn.get("role", "")), "parts": texts}


def _text_part(text: str) -> JsonObject:
    return {"type": "text", "content": text[:_TEXT]}
