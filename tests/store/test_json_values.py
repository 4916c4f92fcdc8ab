import json

import pytest

from store.json_values import JsonValue, quick_json, storable_json_text, to_json
from store.models.base import stored_json

_VALUES: list[JsonValue] = [
    None,
    "plain",
    "größer \u2028 \U0001f600",
    {"b": [1, 2.5, True, None], "a": {"nested": []}},
    2**70,
    {"null": None, "number": 1.5},
]


@pytest.mark.parametrize("value", _VALUES)
def test_all_ways_to_write_json_say_the_same(value: JsonValue) -> None:
    assert json.loads(quick_json(value)) == value == json.loads(to_json(value))
    assert json.loads(stored_json(value)) == value


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("write", [quick_json, stored_json, to_json])
def test_what_json_has_no_words_for_is_refused(number: float, write: object) -> None:
    for value in (number, [1, number], {"a": {"b": number}, "c": None}):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write(value)  # type: ignore[operator]


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_what_a_database_cannot_hold_is_kept_exactly_or_replaced(text: str) -> None:
    assert json.loads(quick_json({"a": text})) == {"a": text}
    assert storable_json_text({"a": text}) is None
    assert json.loads(stored_json({"a": [text], text: 1})) == {"a": ["a\ufffdb"], "a\ufffdb": 1}


def test_a_text_that_speaks_of_nul_is_kept() -> None:
    assert json.loads(stored_json(r"it is written \u0000")) == r"it is written \u0000"
