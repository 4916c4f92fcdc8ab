"""The OpenAI wire format as the simulated backend speaks it: request bodies in, bodies and frames out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from optimizer.types import JsonObject, JsonValue, Message

CREATED = 1_700_000_000
"""Time of creation in every response: the simulated world has no clock."""

_TOKEN = 4
"""Characters of a token."""
_MESSAGE_TOKENS = 4
"""Tokens that a turn adds to its text."""
_PIECE = 24
"""Characters of a streamed piece."""

Stop = str | Annotated[list[str], Field(max_length=16)] | None


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StreamOptions(_Body):
    """Options of a streamed response."""

    include_usage: bool = False


class ResponseFormat(_Body):
    """What the text of a reply has to be."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, object] | None = None


class ChatMessage(_Body):
    """One turn of a request."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, object]] | None = None

    @property
    def text(self) -> str:
        """The turn's text; parts that are not text are left out."""
        if isinstance(self.content, str):
            return self.content
        texts = (part.get("text") for part in self.content or ())
        return "\n".join(text for text in texts if isinstance(text, str))


class SamplingBody(_Body):
    """What requests for chat and for plain completions share."""

    model: str
    n: int | None = Field(default=None, ge=1, le=128)
    seed: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: Stop = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    prompt_logprobs: int | None = Field(default=None, ge=0, le=20)

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop sequences that are not empty."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in given if text)

    @property
    def token_limit(self) -> int | None:
        """Most tokens of a completion, by either name."""
        return self.max_completion_tokens or self.max_tokens


class ChatBody(SamplingBody):
    """A request for chat completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    continue_final_message: bool = False


class TextBody(SamplingBody):
    """A request for plain completions of one text."""

    prompt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One finished completion."""

    text: str
    finish_reason: str
    logprobs: JsonObject | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """What all bodies of one response share."""

    id: str
    model: str
    chat: bool
    prompt_tokens: int


def count_tokens(text: str) -> int:
    """Tokens of ``text``: one for four characters, rounded up."""
    return -(-len(text) // _TOKEN)


def count_prompt_tokens(body: ChatBody | TextBody) -> int:
    """Tokens of a request."""
    if isinstance(body, TextBody):
        return count_tokens(body.prompt)
    return sum(count_tokens(message.text) + _MESSAGE_TOKENS for message in body.messages)


def finish(text: str, stops: Sequence[str], token_limit: int | None) -> Choice:
    """``text`` up to the first stop sequence and at most ``token_limit`` tokens long."""
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    stopped = text[: min(ends)] if ends else text
    if token_limit is not None and count_tokens(stopped) > token_limit:
        return Choice(text=stopped[: token_limit * _TOKEN], finish_reason="length")
    return Choice(text=stopped, finish_reason="stop")


def error_body(message: str, kind: str, code: str | None, param: str | None = None) -> bytes:
    """An error in OpenAI's envelope."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def model_card(name: str) -> JsonObject:
    """One model of the models list."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "simulated"}


def models_body(names: Sequence[str]) -> bytes:
    """The models list."""
    return orjson.dumps({"object": "list", "data": [model_card(name) for name in names]})


def completion_body(envelope: Envelope, choices: Sequence[Choice], prompt: JsonValue = None) -> bytes:
    """A whole response, not streamed; ``prompt`` has the log-probabilities of what was sent, if wanted."""
    shown = [
        {
            "index": index,
            "finish_reason": choice.finish_reason,
            "logprobs": choice.logprobs,
            **_content(envelope, choice.text),
            **({} if envelope.chat or prompt is None else {"prompt_logprobs": prompt}),
        }
        for index, choice in enumerate(choices)
    ]
    kind = "chat.completion" if envelope.chat else "text_completion"
    beside = {"prompt_logprobs": prompt} if envelope.chat and prompt is not None else {}
    usage = _usage(envelope, choices)
    return orjson.dumps({**_head(envelope, kind), "choices": shown, "usage": usage, **beside})


def stream_frames(envelope: Envelope, choices: Sequence[Choice], *, usage: bool) -> tuple[bytes, ...]:
    """The server-sent events of a streamed response, ``[DONE]`` last.

    The choices come one piece each in turn, as from a server that decodes them together.
    """
    head = _head(envelope, "chat.completion.chunk" if envelope.chat else "text_completion")
    tail: JsonObject = {"usage": None} if usage else {}

    def frame(index: int, delta: JsonObject, finish_reason: str | None) -> bytes:
        choice = {"index": index, "finish_reason": finish_reason, "logprobs": None, **delta}
        return _event({**head, "choices": [choice], **tail})

    frames = []
    if envelope.chat:
        opening: JsonObject = {"delta": {"role": "assistant", "content": ""}}
        frames += [frame(index, opening, None) for index in range(len(choices))]
    longest = max(len(choice.text) for choice in choices)
    for start in range(0, longest, _PIECE):
        for index, choice in enumerate(choices):
            if piece := choice.text[start : start + _PIECE]:
                frames.append(frame(index, _piece(envelope, piece), None))
    for index, choice in enumerate(choices):
        closing: JsonObject = {"delta": {}} if envelope.chat else {"text": ""}
        frames.append(frame(index, closing, choice.finish_reason))
    if usage:
        frames.append(_event({**head, "choices": [], "usage": _usage(envelope, choices)}))
    return (*frames, b"data: [DONE]\n\n")


def as_message(message: ChatMessage) -> Message:
    """The turn with its text only."""
    return Message(role=message.role, content=message.text)


def _event(value: JsonObject) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _head(envelope: Envelope, kind: str) -> dict[str, JsonValue]:
    return {
        "id": envelope.id,
        "object": kind,
        "created": CREATED,
        "model": envelope.model,
        "system_fingerprint": "simulated",
    }


def _content(envelope: Envelope, text: str) -> JsonObject:
    return {"message": {"role": "assistant", "content": text}} if envelope.chat else {"text": text}


def _piece(envelope: Envelope, text: str) -> JsonObject:
    return {"delta": {"content": text}} if envelope.chat else {"text": text}


def _usage(envelope: Envelope, choices: Sequence[Choice]) -> JsonObject:
    completion = sum(count_tokens(choice.text) for choice in choices)
    return {
        "prompt_tokens": envelope.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": envelope.prompt_tokens + completion,
    }
