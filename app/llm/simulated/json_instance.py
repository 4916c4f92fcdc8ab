"""A minimal JSON value that satisfies a schema, for free-form requests with a ``response_format``."""

import json
from collections.abc import Mapping

from optimizer.types import JsonObject, JsonValue

_DEEPEST = 8


def json_reply(schema: Mapping[str, object] | None, text: str) -> str:
    """``text`` as the JSON object that ``schema`` describes; any object where there is no schema."""
    if not schema:
        return json.dumps({"answer": text}, ensure_ascii=False)
    return json.dumps(_instance(schema, text, schema, 0), ensure_ascii=False)


def _instance(schema: object, text: str, root: Mapping[str, object], depth: int) -> JsonValue:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    if "const" in schema:
        return _plain(schema["const"])
    options = schema.get("enum") or schema.get("anyOf") or schema.get("oneOf")
    if isinstance(options, list) and options:
        return _plain(options[0]) if "enum" in schema else _instance(options[0], text, root, depth + 1)
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _instance(_resolve(reference, root), text, root, depth + 1)
    return _of_type(schema, text, root, depth)


def _of_type(schema: Mapping[str, object], text: str, root: Mapping[str, object], depth: int) -> JsonValue:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if kind == "array":
        least = schema.get("minItems")
        item = _instance(schema.get("items", {}), text, root, depth + 1)
        return [item] * max(1, least if isinstance(least, int) else 1)
    if kind in {"integer", "number"}:
        least = schema.get("minimum")
        return least if isinstance(least, int | float) else 1
    simple: dict[object, JsonValue] = {"string": text, "boolean": True, "null": None}
    return simple[kind] if kind in simple else _object(schema, text, root, depth)


def _object(schema: Mapping[str, object], text: str, root: Mapping[str, object], depth: int) -> JsonObject:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {str(name): _instance(part, text, root, depth + 1) for name, part in properties.items()}


def _resolve(reference: str, root: Mapping[str, object]) -> object:
    found: object = root
    for part in filter(None, reference.removeprefix("#").split("/")):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _plain(value: object) -> JsonValue:
    return value if isinstance(value, str | int | float | bool) else None
