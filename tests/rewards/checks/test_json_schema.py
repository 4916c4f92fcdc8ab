"""Answers that have to be JSON, schemas that cannot do harm, and values that cannot hold the service."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from optimizer.errors import InvalidInputError
from optimizer.types import JsonObject, JsonValue, Unscored
from rewards.checks.bounded_schema import BoundedSchema
from rewards.checks.check import Verdict
from rewards.checks.json_schema import MAX_ANSWER, JsonSchemaRule

PERSON: JsonObject = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}
BOMB: JsonObject = {f"a{at}": {"allOf": [{"$ref": f"#/$defs/a{at + 1}"}] * 2} for at in range(30)}
SEVEN = "http://json-schema.org/draft-07/schema#"


def verdict(schema: JsonObject, answer: str) -> Verdict:
    found = JsonSchemaRule(schema).judge(answer)
    assert isinstance(found, Verdict)
    return found


@pytest.mark.parametrize(
    "answer",
    [
        '{"name": "Ada"}',
        ' {"name": "Ada", "age": 36.0} \n',
        'Here you are:\n```json\n{"name": "Ada"}\n```\nBye.',
        '```\nnot this\n```\n```json\n{"name": 1}\n```\n  ```\n{"name": "Ada"}\n  ```',
        '```json\n{"name": "Ada"}',
    ],
)
def test_json_that_the_schema_accepts_passes_bare_or_fenced(answer: str) -> None:
    assert verdict(PERSON, answer) == Verdict(score=5, rationale="The schema accepts the answer.")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("", "Neither the answer nor a fenced block in it is JSON."),
        ("Ada", "Neither the answer nor a fenced block in it is JSON."),
        ('{"name": "Ada"} and more', "Neither the answer nor a fenced block in it is JSON."),
        ('{"name": NaN}', "Neither the answer nor a fenced block in it is JSON."),
        ('{"name": 1e999}', "Neither the answer nor a fenced block in it is JSON."),
        ("[" * 100_000, "Neither the answer nor a fenced block in it is JSON."),
        ('{"age": 3}', "The schema does not accept the answer: $: 'name' is a required property"),
        ('{"name": "ada"}', "The schema does not accept the answer: $.name: 'ada' does not match '^[A-Z]'"),
        ('{"name": 1}', "The schema does not accept the answer: $.name: 1 is not of type 'string'"),
    ],
)
def test_what_it_does_not_accept_fails_with_the_reason(answer: str, said: str) -> None:
    assert verdict(PERSON, answer) == Verdict(score=1, rationale=said)


def test_a_long_reason_is_cut_and_stays_in_one_line() -> None:
    said = verdict(PERSON, json.dumps({"name": "x\n" * 5000})).rationale
    assert len(said) <= 300
    assert "\n" not in said


def test_an_answer_too_long_to_be_looked_at_has_no_verdict() -> None:
    found = JsonSchemaRule(PERSON).judge(json.dumps({"name": "A" * MAX_ANSWER}))
    assert found == Unscored(reason=f"the answer is longer than {MAX_ANSWER} characters")


@pytest.mark.parametrize(
    ("schema", "value", "accepted"),
    [
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, "x", True),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, 1, False),
        ({"properties": {"next": {"$ref": "#"}}, "type": "object"}, {"next": {"next": {}}}, True),
        ({"properties": {"next": {"$ref": "#"}}, "type": "object"}, {"next": {"next": 3}}, False),
        ({"$schema": SEVEN, "definitions": {"a": {"minimum": 3}}, "$ref": "#/definitions/a"}, 2, False),
        ({"$schema": SEVEN, "dependencies": {"a": ["b"]}}, {"a": 1}, False),
        ({"uniqueItems": True}, [1, True, 1.5, "1", [1], {"a": 1}], True),
        ({"uniqueItems": True}, [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1.0}], False),
        ({"uniqueItems": True}, "no list", True),
        ({"uniqueItems": False}, [1, 1], True),
        ({"items": {"pattern": "^a+$"}}, ["a", 3], True),
        ({"items": {"pattern": "^a+$"}}, ["b"], False),
        (
            {"enum": [{"patternProperties": 1}], "default": {"$ref": "nowhere"}},
            {"patternProperties": 1},
            True,
        ),
        ({"properties": {"$id": True, "unevaluatedItems": False}}, {"$id": 1}, True),
        ({"properties": {"$id": True, "unevaluatedItems": False}}, {"unevaluatedItems": 1}, False),
        ({"$ref": "#/$defs/never", "$defs": {"never": False}}, 1, False),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}], "pattern": "z"}, 7, True),
    ],
)
def test_the_keywords_mean_what_the_standard_says(
    schema: JsonObject, value: JsonValue, *, accepted: bool
) -> None:
    assert (BoundedSchema(schema).fault(value) is None) is accepted


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "objekt"}, "this is no JSON schema"),
        ({"pattern": "(?=x)"}, "the pattern cannot be used"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "has to be one of"),
        ({"items": {"$schema": SEVEN}}, r"with \$schema is not supported"),
        ({"patternProperties": {"(a+)+$": {}}}, "with patternProperties is not supported"),
        ({"anyOf": [{"unevaluatedProperties": False}]}, "with unevaluatedProperties is not supported"),
        ({"$ref": "http://127.0.0.1/secret"}, "has to stay within the schema"),
        ({"$ref": "secrets.json"}, "has to stay within the schema"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#/title", "title": "x"}, "does not lead to a schema"),
        ({"$ref": "#/default", "default": {"patternProperties": {}}}, "patternProperties is not supported"),
        ({"$ref": "#"}, "refers to itself without end"),
        ({"$defs": {**BOMB, "a30": True}, "$ref": "#/$defs/a0"}, "refers to itself without end"),
    ],
)
def test_a_schema_that_is_none_or_could_do_harm_is_refused(schema: JsonObject, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        JsonSchemaRule(schema)


def test_a_schema_nested_too_deeply_is_refused() -> None:
    schema: JsonObject = {}
    for _ in range(3000):
        schema = {"not": schema}
    with pytest.raises(InvalidInputError, match="nested too deeply"):
        JsonSchemaRule(schema)


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"$defs": {**BOMB, "a30": True}, "properties": {"q": {"$ref": "#/$defs/a0"}}}, '{"q": 1}'),
        ({"allOf": [{"items": True}] * 1000}, json.dumps([1] * 60_000)),
        ({"items": {"$ref": "#"}}, "[" * 400 + "]" * 400),
    ],
)
def test_what_would_take_for_ever_has_no_verdict(schema: JsonObject, answer: str) -> None:
    found = JsonSchemaRule(schema).judge(answer)
    assert isinstance(found, Unscored)
    assert "steps" in found.reason


def test_an_evil_pattern_in_a_schema_is_harmless() -> None:
    assert verdict({"pattern": "^(a+)+$"}, json.dumps("a" * 100_000 + "!")).score == 1


def test_numbers_too_large_to_be_compared_fail() -> None:
    assert "too large" in verdict({"multipleOf": 0.1}, "1" + "0" * 4000).rationale


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.text("abz", max_size=3)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=10,
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.booleans(),
        st.fixed_dictionaries({"type": st.sampled_from(["string", "number", "object", "array", "null"])}),
        st.fixed_dictionaries({"uniqueItems": st.booleans()}),
        st.fixed_dictionaries({"minimum": st.integers(-2, 2)}),
        st.fixed_dictionaries({"pattern": st.sampled_from(["a", "^b", "z$"])}),
        st.fixed_dictionaries({"enum": st.lists(SCALARS, min_size=1, max_size=3)}),
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"items": inner}),
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3)}),
        st.fixed_dictionaries({"additionalProperties": inner}),
    ),
    max_leaves=6,
)


@given(SCHEMAS.filter(lambda schema: isinstance(schema, dict)), VALUES)
def test_under_the_bound_the_verdict_is_the_librarys(schema: JsonObject, value: JsonValue) -> None:
    expected = Draft202012Validator(schema).is_valid(value)
    assert (BoundedSchema(schema).fault(value) is None) is expected


@given(st.text(max_size=200))
def test_any_answer_has_a_verdict(answer: str) -> None:
    assert isinstance(JsonSchemaRule(PERSON).judge(answer), Verdict)
