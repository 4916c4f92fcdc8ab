"""JSON values, and the hash that names them by content."""

import hashlib
import json
import math
from typing import Final, TypeAlias

import orjson

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]

_ENCODER: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_NUL: Final = r"\u0000"


def to_json(value: JsonValue) -> str:
    """``value`` as JSON text.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON has no words for.
    """
    return _ENCODER.encode(value)


def quick_json(value: JsonValue) -> str:
    """As ``to_json``, several times faster; what is not ASCII stays as it is.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON has no words for.
    """
    text = _by_orjson(value)
    return to_json(value) if text is None else text


def storable_json_text(value: JsonValue) -> str | None:
    """As ``quick_json``; None where a string has a NUL or a lone surrogate, which databases cannot hold.

    It may be None for others, too.
    """
    text = _by_orjson(value)
    return None if text is None or _NUL in text else text


def _by_orjson(value: JsonValue) -> str | None:
    """None for what orjson cannot write, or writes otherwise than ``to_json`` does."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # lone surrogates, numbers of more than 64 bits
        return None
    return None if "null" in text and _holds_nan(value) else text


def _holds_nan(value: JsonValue) -> bool:
    """Whether NaN or an infinity is in ``value``: orjson writes ``null`` for them."""
    looked_at = [value]
    for item in looked_at:  # which grows meanwhile
        if item is None or type(item) is str:
            continue
        if isinstance(item, float):
            if not math.isfinite(item):
                return True
        elif isinstance(item, dict):
            looked_at.extend(item.values())
        elif isinstance(item, list | tuple):
            looked_at.extend(item)
    return False


def content_hash(value: JsonValue) -> str:
    """SHA-256, in hex, of ``value``; equal values have equal hashes, in whatever order their keys stand."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
