"""Reading a chat request: as little as has to be understood, and errors that say what to change."""

from collections.abc import Mapping

from app.chat.fields import EXTENSION, read_model, read_object, read_options, read_stream
from app.chat.headers import STICKY_HEADER
from app.chat.prompt_objects import FIELD as PROMPT
from app.chat.prompt_objects import read_prompt
from app.chat.schemas import ChatRequest
from app.errors import invalid_request
from optimizer.types import JsonObject, JsonValue


def read_request(content: bytes, headers: Mapping[str, str]) -> ChatRequest:
    """The request in a body and its headers; where both speak of alignment, the body wins.

    Args:
        content: the body.
        headers: with case-insensitive or lower-case names.

    Raises:
        ApiError: 400, with the field at fault.
    """
    body = read_object(content)
    extension = body.pop(EXTENSION, None)
    prompt = read_prompt(body.pop(PROMPT, None))
    is_named_by_prompt = prompt is not None and body.get("model") is None
    return ChatRequest(
        model="" if is_named_by_prompt else read_model(body.get("model")),
        messages=_messages(body.get("messages")),
        stream=read_stream(body.get("stream")),
        options=read_options(extension, headers),
        body=body,
        prompt=prompt,
        sticky_key=headers.get(STICKY_HEADER),
    )


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
