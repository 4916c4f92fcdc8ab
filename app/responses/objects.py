"""The objects of the Responses API: the response and the items of its output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from optimizer.types import JsonObject, JsonValue

EndStatus: TypeAlias = Literal["completed", "incomplete"]
Status: TypeAlias = Literal["in_progress"] | EndStatus

_REPEATED: JsonObject = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "user": None,
}
"""Options that the response repeats, as they are where the caller leaves them out."""

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseFrame:
    """What all states of one response share.

    Attributes:
        key: what its ids are made of.
        created_at: in seconds since 1970.
        model: what the caller asked for.
        asked: the body of the request.
    """

    key: str
    created_at: int
    model: str
    asked: JsonObject

    def item_id(self, kind: str, index: int) -> str:
        """The id of output item ``index``."""
        return f"{kind}_{self.key}{index:02x}"

    def response(
        self,
        status: Status,
        output: Sequence[JsonObject],
        *,
        usage: JsonObject | None = None,
        finish_reason: str | None = None,
    ) -> JsonObject:
        """The response object in one of its states."""
        reason = _INCOMPLETE.get(finish_reason or "") if status == "incomplete" else None
        repeated = {
            name: usual if self.asked.get(name) is None else self.asked[name]
            for name, usual in _REPEATED.items()
        }
        return {
            "id": f"resp_{self.key}",
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "model": self.model,
            "output": [*output],
            "previous_response_id": None,
            "store": False,
            "truncation": "disabled",
            **repeated,
            "usage": usage,
        }


def ended_status(finish_reason: str | None) -> EndStatus:
    """How a response whose text ended for ``finish_reason`` has ended."""
    return "incomplete" if finish_reason in _INCOMPLETE else "completed"


def text_part(text: str, logprobs: Sequence[JsonValue] = ()) -> JsonObject:
    """A text of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": [*logprobs]}


def refusal_part(text: str) -> JsonObject:
    """A refusal in a message."""
    return {"type": "refusal", "refusal": text}


def message_item(item_id: str, parts: Sequence[JsonObject], status: Status) -> JsonObject:
    """A message of the assistant."""
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": [*parts]}


def reasoning_item(item_id: str, text: str, status: Status) -> JsonObject:
    """What the model has thought, as far as its backend tells."""
    parts: list[JsonValue] = [{"type": "reasoning_text", "text": text}] if text else []
    return {"id": item_id, "type": "reasoning", "summary": [], "content": parts, "status": status}


def call_item(item_id: str, *, call_id: str, name: str, arguments: str, status: Status) -> JsonObject:
    """A call of one of the caller's functions."""
    return {
        "id": item_id,
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def usage_of(counts: JsonValue) -> JsonObject | None:
    """Chat's token counts under the names that responses have for them."""
    if not isinstance(counts, dict):
        return None
    prompt, completion = _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens"))
    read, written = counts.get("prompt_tokens_details"), counts.get("completion_tokens_details")
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": _detail(read, "cached_tokens")},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": _detail(written, "reasoning_tokens")},
        "total_tokens": _count(counts.get("total_tokens")) or prompt + completion,
    }


def logprobs_of(choice: JsonObject) -> list[JsonValue]:
    """A choice's log-probabilities of its text's tokens."""
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    return [
        {"bytes": [], "top_logprobs": [], **token}
        for token in (tokens if isinstance(tokens, list) else [])
        if isinstance(token, dict)
    ]


def told_text(message: JsonObject, *names: str) -> str:
    """The first text in ``message`` under one of ``names``; empty where there is none."""
    values = (message.get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and value), "")


def _count(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0


def _detail(details: JsonValue, name: str) -> int:
    return _count(details.get(name)) if isinstance(details, dict) else 0
