"""From the options of a response to those of chat completions."""

from collections.abc import Callable, Mapping
from typing import Final

from app.errors import invalid_request
from optimizer.types import JsonObject, JsonValue

_LOGPROBS: Final = "message.output_text.logprobs"
_NOTHING_TO_ADD: Final = ("reasoning.encrypted_content",)
"""Asked for in advance by stateless clients; there is simply none."""


def tools_of(value: JsonValue) -> JsonObject:
    """Chat's ``tools``.

    Raises:
        ApiError: 400, a tool is none of the caller's own functions.
    """
    if not isinstance(value, list):
        raise invalid_request("tools has to be a list", param="tools")
    tools: list[JsonValue] = [_tool(tool, f"tools.{place}") for place, tool in enumerate(value)]
    return {"tools": tools} if tools else {}


def tool_choice_of(value: JsonValue) -> JsonObject:
    """Chat's ``tool_choice``.

    Raises:
        ApiError: 400, it is neither a mode nor one of the caller's functions.
    """
    if isinstance(value, str):
        return {"tool_choice": value}
    if isinstance(value, dict) and value.get("type") == "function":
        return {"tool_choice": {"type": "function", "function": {"name": value.get("name")}}}
    raise invalid_request(
        "tool_choice has to be none, auto, required, or a function by type and name", param="tool_choice"
    )


def text_of(value: JsonValue) -> JsonObject:
    """Chat's ``response_format`` and ``verbosity``.

    Raises:
        ApiError: 400, the format is none that chat knows.
    """
    text = _object(value, "text")
    options: JsonObject = {}
    if text.get("verbosity") is not None:
        options["verbosity"] = text["verbosity"]
    form = _object(text.get("format"), "text.format")
    match form.get("type", "text"):
        case "text":
            return options
        case "json_object":
            return {**options, "response_format": {"type": "json_object"}}
        case "json_schema":
            described: JsonObject = {name: part for name, part in form.items() if name != "type"}
            return {**options, "response_format": {"type": "json_schema", "json_schema": described}}
        case _:
            pass
    raise invalid_request(
        "text.format.type has to be text, json_object or json_schema", param="text.format.type"
    )


def reasoning_of(value: JsonValue) -> JsonObject:
    """Chat's ``reasoning_effort``.

    Raises:
        ApiError: 400, a summary is insisted on, which no chat backend writes.
    """
    reasoning = _object(value, "reasoning")
    if reasoning.get("summary") not in (None, "auto"):
        raise invalid_request(
            "reasoning.summary: no summary can be promised here: use auto", param="reasoning.summary"
        )
    effort = reasoning.get("effort")
    return {} if effort is None else {"reasoning_effort": effort}


def include_of(value: JsonValue) -> JsonObject:
    """Chat's ``logprobs``, where they are to be included.

    Raises:
        ApiError: 400, something is to be included that there is not.
    """
    if not isinstance(value, list):
        raise invalid_request("include has to be a list", param="include")
    for name in value:
        if name != _LOGPROBS and name not in _NOTHING_TO_ADD:
            raise invalid_request(f"include: there is no {str(name)[:64]} here", param="include")
    return {"logprobs": True} if _LOGPROBS in value else {}


def top_logprobs_of(value: JsonValue) -> JsonObject:
    """Chat's ``top_logprobs``, which need ``logprobs``."""
    return {"logprobs": True, "top_logprobs": value} if value else {}


def _refusing(field: str, advice: str, *, but: JsonValue = None) -> Callable[[JsonValue], JsonObject]:
    def check(value: JsonValue) -> JsonObject:
        if value != but or type(value) is not type(but):
            raise invalid_request(f"{field}: {advice}", param=field)
        return {}

    return check


OPTIONS: Final[Mapping[str, Callable[[JsonValue], JsonObject]]] = {
    "tools": tools_of,
    "tool_choice": tool_choice_of,
    "text": text_of,
    "reasoning": reasoning_of,
    "include": include_of,
    "top_logprobs": top_logprobs_of,
    "max_output_tokens": lambda value: {"max_completion_tokens": value},
    "metadata": lambda _: {},
    "max_tool_calls": lambda _: {},
    "n": _refusing("n", "a response is one answer: send 1, or leave it out", but=1),
    "store": _refusing("store", "this service keeps no responses: send false, or leave it out", but=False),
    "background": _refusing(
        "background", "responses are made at once: send false, or leave it out", but=False
    ),
    "truncation": _refusing(
        "truncation", "input is never cut here: send disabled, or leave it out", but="disabled"
    ),
    "previous_response_id": _refusing(
        "previous_response_id", "this service keeps no responses: send the earlier items in input"
    ),
    "conversation": _refusing(
        "conversation", "this service keeps no conversations: send their items in input"
    ),
}
"""What becomes of each field that chat knows under another name, in another form, or not at all."""


def _tool(tool: JsonValue, param: str) -> JsonObject:
    described = _object(tool, param)
    if described.get("type") != "function":
        raise invalid_request(
            f"{param}: only functions of your own can be tools here, none of type "
            f"{str(described.get('type'))[:64]}",
            param=f"{param}.type",
        )
    return {
        "type": "function",
        "function": {name: part for name, part in described.items() if name != "type"},
    }


def _object(value: JsonValue, param: str) -> JsonObject:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_request(f"{param} has to be an object", param=param)
    return value
