"""The OpenAI wire format: requests out, answers in. Pure, and strict in what it reads."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import orjson

from app.llm.capabilities import Capabilities
from optimizer.errors import MalformedResponseError
from optimizer.types import (
    Completion,
    CompletionRequest,
    CompletionResult,
    JsonObject,
    JsonValue,
    Message,
    OutputSchema,
    Sampling,
    Usage,
)

Api: TypeAlias = Literal["chat", "completions"]
Path: TypeAlias = Literal["chat/completions", "completions", "embeddings"]

PATHS: Mapping[Api, Path] = {"chat": "chat/completions", "completions": "completions"}

_SYSTEM_ROLES = frozenset({"system", "developer"})
_MOST_TOKENS = 2**31
_LONGEST_FINGERPRINT = 100
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _NotTheProtocolError(Exception):
    """What is wrong with a body."""


def request_body(request: CompletionRequest, *, api: Api, model: str, can: Capabilities) -> JsonObject:
    """The JSON body for ``request``; what the model cannot take is left out.

    Raises:
        TypeError: a conversation for the completions API, or plain text for the chat API.
    """
    if api == "completions":
        if not isinstance(request.prompt, str):
            raise TypeError("the completions API takes plain text, not a conversation")
        body: JsonObject = {"model": model, "prompt": request.prompt}
        if request.top_logprobs is not None and can.logprobs:
            body["logprobs"] = min(request.top_logprobs, can.top_logprobs)
        if request.output is not None and can.structured_outputs:
            body |= _structured_outputs(request.output)
        return body | _parameters(request, can, limit_field="max_tokens")
    if isinstance(request.prompt, str):
        raise TypeError("the chat API takes a conversation, not plain text")
    messages = request.prompt if can.system_role else fold_system(request.prompt)
    body = {"model": model, "messages": [message_to_json(message) for message in messages]}
    body |= _parameters(request, can, limit_field=can.max_tokens_field)
    if request.top_logprobs is not None and can.logprobs:
        body |= {"logprobs": True, "top_logprobs": min(request.top_logprobs, can.top_logprobs)}
    if request.output is not None:
        body |= _response_format(request.output, can)
    return body


def message_to_json(message: Message) -> JsonObject:
    """One turn as it is sent."""
    return {**message.extra, "role": message.role, "content": message.content}


def message_from_json(turn: JsonObject) -> Message:
    """One turn as it came; every field but role and content goes into ``extra``."""
    extra = {name: value for name, value in turn.items() if name not in {"role", "content"}}
    return Message(role=str(turn.get("role", "")), content=turn.get("content"), extra=extra)


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation for a model without a system role: that text goes before the first user message's."""
    system = "\n\n".join(message.text for message in messages if message.role in _SYSTEM_ROLES)
    rest = [message for message in messages if message.role not in _SYSTEM_ROLES]
    if not system:
        return tuple(rest)
    for index, message in enumerate(rest):
        if message.role != "user":
            continue
        content: JsonValue = f"{system}\n\n{message.text}"
        if isinstance(message.content, list):
            content = [{"type": "text", "text": system}, *message.content]
        rest[index] = Message(role="user", content=content, extra=message.extra)
        return tuple(rest)
    return (Message(role="user", content=system), *rest)


def read_json(body: bytes, *, backend: str) -> JsonValue:
    """``body`` as JSON.

    Raises:
        MalformedResponseError: it is none.
    """
    value: JsonValue
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        value = _read_with_surrogates(body)
        if value is None:
            raise MalformedResponseError(
                f"backend {backend} sent a body that is not JSON: {error}", backend=backend
            ) from None
    return value


def _read_with_surrogates(body: bytes) -> JsonValue:
    """``body`` with U+FFFD for escaped half characters, which models do write; None where it is no JSON."""
    if _ESCAPED_SURROGATE.search(body) is None:
        return None
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
        value: JsonValue = orjson.loads(_SURROGATE.sub("\ufffd", text))
    except (ValueError, RecursionError):
        return None
    return value


def read_result(
    body: JsonValue, *, api: Api, request: CompletionRequest, backend: str, model: str, seconds: float
) -> CompletionResult:
    """The answers in a 2xx body.

    Args:
        body: as parsed.
        api: which API was asked.
        request: what was asked.
        backend: the backend's configured name.
        model: reported as the model where the body doesn't say.
        seconds: duration of the call.

    Raises:
        MalformedResponseError: it is not the protocol, or does not hold ``request.n`` completions.
    """
    try:
        reply = _object(body, "the body")
        completions = tuple(_completion(choice, api) for choice in _choices(reply, request.n))
    except _NotTheProtocolError as error:
        raise MalformedResponseError(
            f"backend {backend} sent a body that is not the OpenAI protocol: {error}", backend=backend
        ) from None
    told = reply.get("model")
    return CompletionResult(
        completions=completions,
        usage=read_usage(reply.get("usage")),
        model=told if isinstance(told, str) and told else model,
        seconds=seconds,
        fingerprint=_fingerprint(reply.get("system_fingerprint")),
    )


def read_usage(usage: JsonValue) -> Usage | None:
    """Token counts; None where they are missing or make no sense, since a guess would be billed."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not is_count(prompt) or not is_count(completion):
        return None
    told = usage.get("prompt_tokens_details")
    cached = told.get("cached_tokens") if isinstance(told, dict) else None
    return Usage(
        prompt_tokens=int(str(prompt)),
        completion_tokens=int(str(completion)),
        cached_prompt_tokens=min(int(str(cached)), int(str(prompt))) if is_count(cached) else None,
    )


def _parameters(request: CompletionRequest, can: Capabilities, *, limit_field: str) -> JsonObject:
    sampling: Sampling = request.sampling
    parameters: JsonObject = {
        "temperature": sampling.temperature if can.sampling else None,
        "top_p": sampling.top_p if can.sampling else None,
        limit_field: sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": request.seed if can.seed else None,
        "n": request.n if request.n > 1 else None,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _response_format(output: OutputSchema, can: Capabilities) -> JsonObject:
    if can.json_schema:
        schema: JsonObject = dict(output.schema)
        described: JsonObject = {"name": output.name, "schema": schema, "strict": _is_closed(schema)}
        return {"response_format": {"type": "json_schema", "json_schema": described}}
    if can.structured_outputs:
        return _structured_outputs(output)
    if can.json_mode:
        return {"response_format": {"type": "json_object"}}
    return {}


def _structured_outputs(output: OutputSchema) -> JsonObject:
    schema: JsonObject = dict(output.schema)
    return {"structured_outputs": {"json": schema}}


def _is_closed(schema: JsonValue) -> bool:
    """Whether every object names all its fields and requires them: what OpenAI's strict mode insists on."""
    if isinstance(schema, list):
        return all(_is_closed(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        required = schema.get("required")
        names = set(properties) if isinstance(properties, dict) else set()
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if names != {name for name in required if isinstance(name, str)}:
            return False
    return all(_is_closed(value) for value in schema.values())


def _completion(choice: JsonObject, api: Api) -> Completion:
    if api == "completions":
        text = choice.get("text")
        if not isinstance(text, str):
            raise _NotTheProtocolError("a choice without text")
    else:
        text = _message_text(_object(choice.get("message"), "a choice's message"))
    reason = choice.get("finish_reason")
    if not isinstance(reason, str | None):
        raise _NotTheProtocolError("a finish_reason that is no text")
    return Completion(text=text, finish_reason=reason or None, logprobs=choice.get("logprobs"))


def _message_text(message: JsonObject) -> str:
    content, refusal = message.get("content"), message.get("refusal")
    if content is None:
        # The model declined to follow the schema; what it said instead is its answer.
        return refusal if isinstance(refusal, str) else ""
    if not isinstance(content, str | list):
        raise _NotTheProtocolError("a message whose content is neither text nor parts")
    return Message(role="assistant", content=content).text


def _choices(reply: JsonObject, n: int) -> list[JsonObject]:
    choices = [_object(choice, "a choice") for choice in _list(reply.get("choices"), "choices")]
    if len(choices) != n:
        raise _NotTheProtocolError(f"{len(choices)} choices instead of {n}")
    return _in_order(choices)


def _in_order(choices: list[JsonObject]) -> list[JsonObject]:
    places: list[int] = []
    for choice in choices:
        place = choice.get("index")
        if isinstance(place, int):
            places.append(place)
    if len(set(places)) != len(choices):
        return choices
    return [choice for _, choice in sorted(zip(places, choices, strict=True), key=lambda pair: pair[0])]


def _object(value: JsonValue, what: str) -> JsonObject:
    if not isinstance(value, dict):
        raise _NotTheProtocolError(f"{what} is no object")
    return value


def _list(value: JsonValue, what: str) -> list[JsonValue]:
    if not isinstance(value, list):
        raise _NotTheProtocolError(f"{what} is no list")
    return value


def _fingerprint(value: JsonValue) -> str | None:
    return value[:_LONGEST_FINGERPRINT] if isinstance(value, str) and value else None


def is_count(value: JsonValue) -> bool:
    """Whether ``value`` is a number of tokens that can be true."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS
