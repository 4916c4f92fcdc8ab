"""JSON values, and the hash that names them by content."""

import hashlib
import json
from typing import TypeAlias

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]


def to_json(value: JsonValue) -> str:
    """``value`` as JSON text.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON has no words for.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def content_hash(value: JsonValue) -> str:
    """SHA-256, in hex, of ``value``; equal values have equal hashes, in whatever order their keys stand."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
