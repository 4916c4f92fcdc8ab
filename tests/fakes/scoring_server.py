"""What a server answers that tells how likely the words of a prompt are: as vLLM does, or by an echo."""

import hashlib
import re
from typing import Any

from optimizer.types import JsonObject, JsonValue
from tests.fakes.openai_server import Answer, Exchange, Reply, error, well_behaved


def scores_texts(exchange: Exchange) -> Reply:
    """A server with ``prompt_logprobs``; what it does not know of a request it ignores."""
    body: Any = exchange.body
    if "prompt_logprobs" not in body or body.get("stream"):
        return well_behaved(exchange)
    chat = "messages" in body
    if chat and body.get("continue_final_message") and body.get("add_generation_prompt", True):
        return error(400, "Cannot set both")
    text = "\n".join(turn["content"] for turn in body["messages"]) if chat else body["prompt"]
    words = _words(text)
    places: list[JsonValue] = [None]
    for place in range(1, len(words)):
        told: JsonValue = {
            "logprob": _logprob(words[: place + 1]),
            "rank": 1,
            "decoded_token": words[place],
        }
        places.append({str(place): told})
    return _answer(exchange, {} if chat else {"prompt_logprobs": places}, prompt=places if chat else None)


def echoes_texts(exchange: Exchange) -> Reply:
    """A server that gives log-probabilities with an echo of the prompt, of completions alone."""
    body: Any = exchange.body
    if not body.get("echo") or "messages" in body:
        return well_behaved(exchange)
    words = _words(body["prompt"])
    values: list[JsonValue] = [
        None,
        *(_logprob(words[: place + 1]) for place in range(1, len(words))),
        -0.5,
    ]
    return _answer(exchange, {"logprobs": {"tokens": [*words, " an"], "token_logprobs": values}})


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def _logprob(words: list[str]) -> float:
    digest = hashlib.sha256("\x1f".join(words).encode()).digest()
    return -int.from_bytes(digest[:2]) / 10_000


def _answer(exchange: Exchange, in_choice: JsonObject, *, prompt: JsonValue = None) -> Answer:
    said: JsonObject = {"text": " an"}
    if "messages" in exchange.body:
        said = {"message": {"role": "assistant", "content": "an"}}
    usage: JsonValue = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
    body: JsonObject = {
        "choices": [{"index": 0, **said, **in_choice, "finish_reason": "length"}],
        "usage": usage,
    }
    return Answer(body={**body, "prompt_logprobs": prompt} if prompt is not None else body)
