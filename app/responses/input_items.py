"""From the input of a response, a text or a list of items, to the messages of a conversation."""

from collections.abc import Callable, Mapping
from typing import Final

from app.errors import ApiError, invalid_request
from optimizer.types import JsonObject, JsonValue

_ROLES: Final = frozenset({"user", "assistant", "system", "developer"})


def messages_of(value: JsonValue) -> list[JsonObject]:
    """The conversation in ``input``.

    Calls of functions become tool calls of the assistant's message before them; reasoning that a backend has
    told goes back to it with the assistant's next message.

    Raises:
        ApiError: 400, with the item at fault.
    """
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise invalid_request("input has to be a text or a list of at least one item", param="input")
    conversation = _Conversation()
    for place, item in enumerate(value):
        conversation.add(item, f"input.{place}")
    return conversation.messages


class _Conversation:
    """Messages as far as items were read."""

    def __init__(self) -> None:
        self.messages: list[JsonObject] = []
        self._reasoning: list[str] = []

    def add(self, item: JsonValue, param: str) -> None:
        if not isinstance(item, dict):
            raise invalid_request(f"{param} has to be an object", param=param)
        kind = item.get("type")
        if kind in (None, "message"):
            self._add_message(item, param)
        elif kind == "function_call":
            self._add_call(item, param)
        elif kind == "function_call_output":
            output = _content(item.get("output"), f"{param}.output")
            call_id = _text(item, "call_id", param)
            self.messages.append({"role": "tool", "tool_call_id": call_id, "content": output})
        elif kind == "reasoning":
            self._reasoning += _reasoning_texts(item)
        else:
            raise invalid_request(
                f"{param}: items of type {str(kind)[:64]} cannot be sent to this service: use message, "
                "function_call, function_call_output or reasoning",
                param=f"{param}.type",
            )

    def _add_message(self, item: JsonObject, param: str) -> None:
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise invalid_request(
                f"{param}.role has to be user, assistant, system or developer", param=f"{param}.role"
            )
        message: JsonObject = {"role": role, "content": _content(item.get("content"), f"{param}.content")}
        self._append(message)

    def _add_call(self, item: JsonObject, param: str) -> None:
        call: JsonObject = {
            "id": _text(item, "call_id", param),
            "type": "function",
            "function": {
                "name": _text(item, "name", param),
                "arguments": _text(item, "arguments", param),
            },
        }
        last = self.messages[-1] if self.messages else {}
        if last.get("role") != "assistant" or self._reasoning:
            last = {"role": "assistant", "content": None}
            self._append(last)
        calls = last.setdefault("tool_calls", [])
        if isinstance(calls, list):
            calls.append(call)

    def _append(self, message: JsonObject) -> None:
        if message["role"] == "assistant" and self._reasoning:
            message["reasoning_content"] = "\n".join(self._reasoning)
            self._reasoning = []
        self.messages.append(message)


def _content(value: JsonValue, param: str) -> JsonValue:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise invalid_request(f"{param} has to be a text or a list of parts", param=param)
    parts: list[JsonValue] = [_part(part, f"{param}.{place}") for place, part in enumerate(value)]
    texts = [part["text"] for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    # one text is sent as a text: not every backend takes parts
    return texts[0] if len(texts) == len(parts) == 1 else parts


def _part(part: JsonValue, param: str) -> JsonObject:
    if not isinstance(part, dict):
        raise invalid_request(f"{param} has to be an object", param=param)
    kind = part.get("type")
    read = _PARTS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise invalid_request(
            f"{param}: parts of type {str(kind)[:64]} are not known: use {', '.join(_PARTS)}",
            param=f"{param}.type",
        )
    return read(part, param)


def _text_part(part: JsonObject, param: str) -> JsonObject:
    return {"type": "text", "text": _text(part, "text", param)}


def _refusal_part(part: JsonObject, param: str) -> JsonObject:
    return {"type": "refusal", "refusal": _text(part, "refusal", param)}


def _image_part(part: JsonObject, param: str) -> JsonObject:
    if part.get("image_url") is None:
        raise _no_files(f"{param}.file_id", "image_url")
    image: JsonObject = {"url": _text(part, "image_url", param)}
    if part.get("detail") is not None:
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _file_part(part: JsonObject, param: str) -> JsonObject:
    if part.get("file_data") is None:
        raise _no_files(f"{param}.file_id", "file_data")
    file: JsonObject = {name: part[name] for name in ("filename", "file_data") if name in part}
    return {"type": "file", "file": file}


def _audio_part(part: JsonObject, param: str) -> JsonObject:
    if not isinstance(part.get("input_audio"), dict):
        raise invalid_request(f"{param}.input_audio has to be an object", param=f"{param}.input_audio")
    return {"type": "input_audio", "input_audio": part["input_audio"]}


_PARTS: Final[Mapping[str, Callable[[JsonObject, str], JsonObject]]] = {
    "input_text": _text_part,
    "output_text": _text_part,
    "refusal": _refusal_part,
    "input_image": _image_part,
    "input_file": _file_part,
    "input_audio": _audio_part,
}


def _reasoning_texts(item: JsonObject) -> list[str]:
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return [text for text in texts if isinstance(text, str) and text]


def _text(item: JsonObject, name: str, param: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise invalid_request(f"{param}.{name} has to be a text", param=f"{param}.{name}")
    return value


def _no_files(param: str, instead: str) -> ApiError:
    return invalid_request(f"this service keeps no files: send {instead}", param=param)
