"""Chat with a base model: a conversation as text to complete, and the completion as a chat answer."""

from typing import Final

from app.chat.alignment import Alignment, split_leading_system
from app.chat.schemas import ChatRequest
from app.errors import invalid_request
from app.llm.wire import message_from_json
from optimizer.config import SamplingConfig
from optimizer.rendering import COMPLETION_STOP, join_system, render_text
from optimizer.types import JsonObject, JsonValue

_WITHOUT_COUNTERPART: Final = (
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "response_format",
    "logprobs",
    "top_logprobs",
    "modalities",
    "audio",
)
_HARMLESS: Final[tuple[JsonValue, ...]] = (None, False, [], "none", "auto", {"type": "text"}, ["text"])
_CHAT_FIELDS: Final = frozenset(
    {
        *_WITHOUT_COUNTERPART,
        "messages",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "parallel_tool_calls",
    }
)


def completions_body(request: ChatRequest, alignment: Alignment | None, *, model: str) -> JsonObject:
    """The body for ``/completions`` that asks a base model for the next answer of a conversation.

    Fields that mean nothing to us pass. A length limit is always sent, because servers of this API stop after
    a few words without one.

    Args:
        request: the caller's.
        alignment: None renders the conversation alone.
        model: the backend's name for the model.

    Raises:
        ApiError: 400, the request asks for what text alone cannot carry: tools, images, JSON mode.
    """
    _refuse_what_text_cannot_carry(request)
    body: JsonObject = {name: value for name, value in request.body.items() if name not in _CHAT_FIELDS}
    if alignment is not None:
        body |= alignment.defaults(request.body)
    limit = request.body.get("max_completion_tokens") or request.body.get("max_tokens")
    return body | {
        "model": model,
        "prompt": _prompt(request, alignment),
        "stop": _stops(request.body.get("stop")),
        "max_tokens": limit or SamplingConfig().max_tokens,
    }


class CompletionAnswers:
    """Gives the answers of ``/completions`` the shape of chat; one instance per response."""

    def __init__(self) -> None:
        self._begun: set[JsonValue] = set()

    def whole(self, reply: JsonObject) -> JsonObject:
        """A whole answer as a ``chat.completion``."""
        choices: list[JsonValue] = [
            {**_without_text(choice), "message": {"role": "assistant", "content": _text(choice)}}
            for choice in choices_of(reply)
        ]
        return {**reply, "object": "chat.completion", "choices": choices}

    def chunk(self, event: JsonObject) -> JsonObject:
        """One event of a stream as a ``chat.completion.chunk``; the first of each choice names the role."""
        choices: list[JsonValue] = []
        for choice in choices_of(event):
            index = choice.get("index")
            place = index if isinstance(index, int) else 0
            delta: JsonObject = {} if place in self._begun else {"role": "assistant"}
            if _text(choice) or place not in self._begun:
                delta["content"] = _text(choice)
            self._begun.add(place)
            choices.append({**_without_text(choice), "delta": delta})
        return {**event, "object": "chat.completion.chunk", "choices": choices}


def _prompt(request: ChatRequest, alignment: Alignment | None) -> str:
    leading, rest = split_leading_system(request.messages)
    conversation = tuple(message_from_json(turn) for turn in rest)
    if alignment is None:
        return render_text("", (), (*leading, *conversation))
    theirs = [message.text for message in leading]
    system = join_system(alignment.system_prompt, theirs, alignment.caller_system)
    return render_text(system, alignment.examples, conversation, alignment.place)


def _stops(given: JsonValue) -> list[JsonValue]:
    theirs: list[JsonValue] = [*given] if isinstance(given, list) else [given] if given else []
    return [*theirs, *(stop for stop in COMPLETION_STOP if stop not in theirs)]


def _refuse_what_text_cannot_carry(request: ChatRequest) -> None:
    advice = f"{request.model} is a base model that completes plain text"
    for name in _WITHOUT_COUNTERPART:
        if request.body.get(name) not in _HARMLESS:
            raise invalid_request(f"{advice}: it cannot honour {name}", param=name)
    for place, turn in enumerate(request.messages):
        param = f"messages.{place}"
        if turn["role"] in {"tool", "function"} or turn.get("tool_calls"):
            raise invalid_request(f"{advice}: it knows no tools", param=param)
        content = turn.get("content")
        parts = content if isinstance(content, list) else []
        if any(not isinstance(part, dict) or part.get("type") != "text" for part in parts):
            raise invalid_request(f"{advice}: content parts have to be text", param=param)


def choices_of(reply: JsonObject) -> list[JsonObject]:
    """The choices in a reply or an event that are objects."""
    choices = reply.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _text(choice: JsonObject) -> str:
    text = choice.get("text")
    return text if isinstance(text, str) else ""


def _without_text(choice: JsonObject) -> JsonObject:
    """The choice's other fields; log-probabilities have another form in chat, so they are left out."""
    return {name: value for name, value in choice.items() if name != "text"} | {"logprobs": None}
