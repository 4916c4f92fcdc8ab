"""Asking for responses, and the chat completions that a scripted backend answers with."""

import json
from typing import Any

import httpx

from optimizer.types import JsonObject
from tests.app.chat.serving import (
    MODEL,
    UPSTREAM_MODEL,
    Service,
)
from tests.fakes.openai_server import Answer, sse

PATH = "/v1/responses"
DONE = b"data: [DONE]\n\n"
CALL: JsonObject = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"a": 1}'}}
COUNTS: JsonObject = {
    "prompt_tokens": 9,
    "completion_tokens": 6,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


async def respond(service: Service, given: object = "Why is the sea blue?", **fields: Any) -> httpx.Response:
    return await service.client.post(PATH, json={"model": MODEL, "input": given, **fields})


def said(**message: Any) -> Answer:
    """A chat completion with one message; ``reason`` and ``logprobs`` go into its choice."""
    choice = {
        "index": 0,
        "finish_reason": message.pop("reason", "stop"),
        "logprobs": message.pop("logprobs", None),
    }
    choice["message"] = {"role": "assistant", "content": None, **message}
    return Answer(body={"id": "c", "model": UPSTREAM_MODEL, "choices": [choice], "usage": COUNTS})


def delta(reason: str | None = None, **fields: Any) -> bytes:
    choice: JsonObject = {"index": 0, "delta": fields, "finish_reason": reason}
    return sse({"id": "c", "model": UPSTREAM_MODEL, "choices": [choice]})


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, which bear their names twice and are numbered from 0."""
    told = []
    for number, frame in enumerate(response.content.decode().split("\n\n")[:-1]):
        name, line = frame.split("\n")
        event = json.loads(line.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        told.append(event)
    return told
