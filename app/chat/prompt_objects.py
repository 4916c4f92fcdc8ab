"""OpenAI's reusable prompts (``prompt: {id, version, variables}``): reading them, and filling in variables.

No template engine is involved: ``{{name}}`` in a stored system prompt is replaced by the caller's text as it
is, once, so nothing in that text is ever looked at as a placeholder or an expression.
"""

import re
from collections.abc import Mapping
from typing import Final

from app.chat.schemas import MOST_NAME, PromptReference
from app.errors import invalid_request
from optimizer.types import JsonObject, JsonValue

FIELD: Final = "prompt"

_PLACEHOLDER = re.compile(r"\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]*\}\}")
_KNOWN = frozenset({"id", "version", "variables"})
_NAMES_SHOWN = 10


def read_prompt(value: JsonValue) -> PromptReference | None:
    """The prompt that a request names, or None.

    Raises:
        ApiError: 400, with the field at fault.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise invalid_request("prompt has to be an object with id, version and variables", param=FIELD)
    unknown = next((name for name in value if name not in _KNOWN), None)
    if unknown is not None:
        raise invalid_request(f"there is no prompt.{unknown}: use id, version, variables", param=FIELD)
    name, version = value.get("id"), value.get("version")
    if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME or "\0" in name:
        raise invalid_request(
            "prompt.id has to be a prompt version (pv_...), a model, or a label of the model",
            param=f"{FIELD}.id",
        )
    if not isinstance(version, str | None):
        raise invalid_request("prompt.version has to be a text such as 3", param=f"{FIELD}.version")
    return PromptReference(id=name, version=version or None, variables=_variables(value.get("variables")))


def fill(system_prompt: str, variables: Mapping[str, str]) -> str:
    """``system_prompt`` with a text for each ``{{name}}`` in it.

    Raises:
        ApiError: 400, a placeholder has no text, or a text no placeholder; all such names are listed.
    """
    declared = dict.fromkeys(_PLACEHOLDER.findall(system_prompt))
    _refuse([name for name in declared if name not in variables], "has variables that are not given")
    _refuse([name for name in variables if name not in declared], "has no such variables")
    return _PLACEHOLDER.sub(lambda found: variables[found[1]], system_prompt)


def _variables(value: JsonValue) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_request("prompt.variables has to be an object", param=f"{FIELD}.variables")
    return {name: _text(name, given) for name, given in value.items()}


def _text(name: str, given: JsonValue) -> str:
    if isinstance(given, str):
        return given
    part: JsonObject = given if isinstance(given, dict) else {}
    text = part.get("text") if part.get("type") == "input_text" else None
    if not isinstance(text, str):
        param = f"{FIELD}.variables.{name}"[:128]
        raise invalid_request(f"{param} has to be a text: a system prompt holds nothing else", param=param)
    return text


def _refuse(names: list[str], complaint: str) -> None:
    if names:
        shown = ", ".join(repr(name[:64]) for name in names[:_NAMES_SHOWN])
        raise invalid_request(f"the prompt {complaint}: {shown}", param=f"{FIELD}.variables")
