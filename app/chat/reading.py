"""Reading a chat request: as little as has to be understood, and errors that say what to change."""

from collections.abc import Mapping

import orjson
from pydantic import ValidationError

from app.chat.headers import ALIGN_HEADER, VERSION_HEADER
from app.chat.schemas import AlignmentOptions, ChatRequest
from app.errors import invalid_request
from optimizer.types import JsonObject, JsonValue

EXTENSION = "drpo"

_SWITCH: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


def read_request(content: bytes, headers: Mapping[str, str]) -> ChatRequest:
    """The request in a body and its headers; where both speak of alignment, the body wins.

    Args:
        content: the body.
        headers: with case-insensitive or lower-case names.

    Raises:
        ApiError: 400, with the field at fault.
    """
    body = _object(content)
    extension = body.pop(EXTENSION, None)
    return ChatRequest(
        model=_model(body.get("model")),
        messages=_messages(body.get("messages")),
        stream=_stream(body.get("stream")),
        options=_options(extension, headers),
        body=body,
    )


def _object(content: bytes) -> JsonObject:
    try:
        body: JsonValue = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise invalid_request(f"the body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise invalid_request("the body has to be a JSON object")
    return body


def _model(value: JsonValue) -> str:
    if not isinstance(value, str) or not value:
        raise invalid_request("model has to be the name of a model; see GET /v1/models", param="model")
    return value


def _messages(value: JsonValue) -> tuple[JsonObject, ...]:
    if not isinstance(value, list) or not value:
        raise invalid_request("messages has to be a list of at least one message", param="messages")
    return tuple(_message(place, item) for place, item in enumerate(value))


def _message(place: int, item: JsonValue) -> JsonObject:
    param = f"messages.{place}"
    if not isinstance(item, dict):
        raise invalid_request(f"{param} has to be an object with role and content", param=param)
    role = item.get("role")
    if not isinstance(role, str) or not role:
        raise invalid_request(
            f"{param}.role has to be a text such as user, assistant or system", param=f"{param}.role"
        )
    if not isinstance(item.get("content"), str | list | None):
        raise invalid_request(
            f"{param}.content has to be a text or a list of parts", param=f"{param}.content"
        )
    return item


def _stream(value: JsonValue) -> bool:
    if not isinstance(value, bool | None):
        raise invalid_request("stream has to be true or false", param="stream")
    return bool(value)


def _options(extension: JsonValue, headers: Mapping[str, str]) -> AlignmentOptions:
    if not isinstance(extension, dict | None):
        raise invalid_request(f"{EXTENSION} has to be an object", param=EXTENSION)
    given = extension or {}
    fallback = _from_headers(headers)
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
