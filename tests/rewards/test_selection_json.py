"""Selections in the records."""

import dataclasses
import json

import pytest

from optimizer.types import JsonObject, JsonValue
from rewards.selection_json import selection_from_json, selection_to_json
from rewards.types import SelectionKey, SelectionSource
from tests.rewards.builders import listed, own, selection

KEY = SelectionKey(query_sha256="0" * 64, selector_model="fake/selector", template_version="v")
CHOSEN = selection(listed("Safety"), own("Egg Lore", "It knows eggs."), rationale="Eggs | are\nhot.")


def test_a_selection_survives_its_json() -> None:
    assert selection_from_json(json.loads(json.dumps(selection_to_json(CHOSEN))), KEY) == CHOSEN


def test_a_fallback_stays_marked_as_one() -> None:
    fallback = dataclasses.replace(CHOSEN, source=SelectionSource.FALLBACK)
    assert selection_from_json(selection_to_json(fallback), KEY) == fallback


def altered(**changes: JsonValue) -> JsonObject:
    return selection_to_json(CHOSEN) | changes


CRITERION: JsonObject = {"name": "N", "good": "g", "scoring": "s", "origin": "catalogue"}


@pytest.mark.parametrize(
    "value",
    [
        {},
        altered(criteria=[]),
        altered(criteria=[CRITERION]),
        altered(criteria=[CRITERION] * 7),
        altered(criteria=[CRITERION, CRITERION | {"name": ""}]),
        altered(criteria=[CRITERION, CRITERION | {"origin": "elsewhere"}]),
        altered(rationale=None),
        altered(source="elsewhere"),
        altered(later="field"),
    ],
)
def test_a_value_of_another_form_is_no_selection(value: JsonObject) -> None:
    assert selection_from_json(value, KEY) is None
