"""What all requests for models say in the same way: the body, the model, whether to stream, how to align."""

from collections.abc import Mapping

import orjson
from pydantic import ValidationError

from app.chat.headers import ALIGN_HEADER, VERSION_HEADER
from app.chat.schemas import AS_USUAL, AlignmentOptions
from app.errors import invalid_request
from optimizer.types import JsonObject, JsonValue

EXTENSION = "drpo"

_MOST_MODEL = 1024
"""Characters of a model's name, which errors repeat."""

_DEEPEST = 200
"""Levels of a body: JSON is read to more of them than it is written, and ours come on top."""
_NESTING = frozenset({dict, list})

_SWITCH: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


def read_object(content: bytes) -> JsonObject:
    """The JSON object in a body.

    Raises:
        ApiError: 400, it holds none.
    """
    try:
        body: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise invalid_request(f"the body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise invalid_request("the body has to be a JSON object")
    if content.count(b"[") + content.count(b"{") > _DEEPEST and _is_deep(body):
        raise invalid_request(f"the body is nested too deeply: at most {_DEEPEST} levels can be sent on")
    return body


def read_model(value: JsonValue) -> str:
    """The name of the model that is asked for.

    Raises:
        ApiError: 400, it is none.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _MOST_MODEL:
        raise invalid_request("model has to be the name of a model; see GET /v1/models", param="model")
    return value


def read_stream(value: JsonValue) -> bool:
    """Whether the answer is to be streamed.

    Raises:
        ApiError: 400, neither true nor false.
    """
    if not isinstance(value, bool | None):
        raise invalid_request("stream has to be true or false", param="stream")
    return bool(value)


def read_options(extension: JsonValue, headers: Mapping[str, str]) -> AlignmentOptions:
    """How to align a request; where its body and its headers both speak of that, the body wins.

    Args:
        extension: the body's field ``drpo``.
        headers: with case-insensitive or lower-case names.

    Raises:
        ApiError: 400, with the field at fault.
    """
    if not isinstance(extension, dict | None):
        raise invalid_request(f"{EXTENSION} has to be an object", param=EXTENSION)
    given = extension or {}
    fallback = _from_headers(headers)
    if not given and not fallback:
        return AS_USUAL
    if given.get("label") is not None:
        fallback.pop("prompt_version", None)
    try:
        options = AlignmentOptions.model_validate(fallback | given)
    except ValidationError as error:
        raise _explained(error) from None
    if options.prompt_version is not None and options.label is not None:
        raise invalid_request(
            f"{EXTENSION}.prompt_version and {EXTENSION}.label exclude each other", param=f"{EXTENSION}.label"
        )
    return options


def _is_deep(body: JsonObject) -> bool:
    """Whether ``body`` has more than ``_DEEPEST`` levels, by going down one by one: recursion would end."""
    level: list[JsonObject | list[JsonValue]] = [body]
    for _ in range(_DEEPEST):
        below: list[JsonObject | list[JsonValue]] = []
        for value in level:
            parts = value.values() if isinstance(value, dict) else value
            if not _NESTING.isdisjoint(map(type, parts)):  # at once, for long lists of tokens
                below += [part for part in parts if isinstance(part, dict | list)]
        if not below:
            return False
        level = below
    return True


def _from_headers(headers: Mapping[str, str]) -> JsonObject:
    found: JsonObject = {}
    version = headers.get(VERSION_HEADER)
    if version is not None:
        found["prompt_version"] = version
    switch = headers.get(ALIGN_HEADER)
    if switch is not None:
        if switch.strip().lower() not in _SWITCH:
            raise invalid_request(f"the header {ALIGN_HEADER} has to be true or false", param=ALIGN_HEADER)
        found["align"] = _SWITCH[switch.strip().lower()]
    return found


def _explained(error: ValidationError) -> Exception:
    first = error.errors(include_url=False, include_input=False)[0]
    param = ".".join([EXTENSION, *(str(part) for part in first["loc"])])
    if first["type"] == "extra_forbidden":
        known = ", ".join(AlignmentOptions.model_fields)
        return invalid_request(f"there is no {param}: use {known}", param=param)
    return invalid_request(f"{param}: {first['msg']}", param=param)
