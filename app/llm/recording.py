"""A model's answer as JSON, for the call ledger, and the key under which it is kept."""

import dataclasses
import hashlib
import json

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import JsonValue as AnyJson

from app.llm.wire import message_to_json
from optimizer.errors import RequestRefusedError
from optimizer.types import Completion, CompletionRequest, CompletionResult, JsonObject, Sampling, Usage

_SAMPLING = tuple(field.name for field in dataclasses.fields(Sampling))
_USAGE = tuple(field.name for field in dataclasses.fields(Usage))


def call_key(request: CompletionRequest, *, scope: str, backend: str, model: str) -> str:
    """What makes a call the same call: 64 hex digits.

    Args:
        request: everything in it counts, but only the name of its output schema.
        scope: the run whose ledger it is.
        backend: the backend's configured name.
        model: the model's name there.
    """
    prompt = request.prompt
    content = {
        "scope": scope,
        "backend": backend,
        "model": model,
        "prompt": prompt if isinstance(prompt, str) else [message_to_json(message) for message in prompt],
        "sampling": {name: getattr(request.sampling, name) for name in _SAMPLING},
        "n": request.n,
        "seed": request.seed,
        "output": request.output.name if request.output else None,
        "top_logprobs": request.top_logprobs,
    }
    try:
        canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # ASCII escapes: a text that is no valid Unicode has a key too, and is refused later with a message.
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")
    return hashlib.sha256(canonical).hexdigest()


def result_to_json(result: CompletionResult) -> JsonObject:
    """``result`` as a JSON object."""
    told: JsonObject = {} if result.fingerprint is None else {"fingerprint": result.fingerprint}
    return {
        "completions": [
            {"text": item.text, "finish_reason": item.finish_reason, "logprobs": item.logprobs}
            for item in result.completions
        ],
        "usage": None if result.usage is None else _usage_to_json(result.usage),
        "model": result.model,
        "seconds": result.seconds,
        **told,
    }


def _usage_to_json(usage: Usage) -> JsonObject:
    """``usage``; versions that know of no prefix cache can read it where the backend says nothing of one."""
    told: JsonObject = {name: getattr(usage, name) for name in _USAGE}
    return {name: value for name, value in told.items() if value is not None}


def result_from_json(record: JsonObject) -> CompletionResult | None:
    """What ``result_to_json`` wrote; None where another version of the program wrote something else."""
    try:
        stored = _StoredResult.model_validate(record)
    except ValidationError:
        return None
    return CompletionResult(
        completions=tuple(
            Completion(text=item.text, finish_reason=item.finish_reason, logprobs=item.logprobs)
            for item in stored.completions
        ),
        usage=None
        if stored.usage is None
        else Usage(
            prompt_tokens=stored.usage.prompt_tokens,
            completion_tokens=stored.usage.completion_tokens,
            cached_prompt_tokens=stored.usage.cached_prompt_tokens,
        ),
        model=stored.model,
        seconds=stored.seconds,
        fingerprint=stored.fingerprint,
    )


def refusal_to_json(error: RequestRefusedError) -> JsonObject:
    """A request that the backend refuses for good, as a JSON object: the search has it as a value."""
    return {"refused": {"message": str(error), "backend": error.backend, "status": error.status}}


def refusal_from_json(record: JsonObject) -> RequestRefusedError | None:
    """What ``refusal_to_json`` wrote, or None for anything else."""
    try:
        stored = _StoredRefusal.model_validate(record).refused
    except ValidationError:
        return None
    return RequestRefusedError(stored.message, backend=stored.backend, status=stored.status)


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _StoredCompletion(_Stored):
    text: str
    finish_reason: str | None
    logprobs: AnyJson


class _StoredUsage(_Stored):
    prompt_tokens: int
    completion_tokens: int
    cached_prompt_tokens: int | None = None


class _StoredResult(_Stored):
    completions: list[_StoredCompletion]
    usage: _StoredUsage | None
    model: str
    seconds: float
    fingerprint: str | None = None


class _Refusal(_Stored):
    message: str
    backend: str
    status: int | None


class _StoredRefusal(_Stored):
    refused: _Refusal
