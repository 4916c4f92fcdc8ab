"""JSON schemas of users under a bound: no endless references, no backtracking patterns, no fetching."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from jsonschema import Draft7Validator, Draft202012Validator, validators
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing import Registry, Specification
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT7, DRAFT202012

from optimizer.errors import InvalidInputError
from optimizer.types import JsonObject, JsonValue
from rewards.checks.patterns import Pattern

MAX_STEPS = 50_000
_SIZE_OF_STEP = 100
_UNSUPPORTED = frozenset(
    {"$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef", "$schema"}
    | {"patternProperties", "unevaluatedItems", "unevaluatedProperties"}
)
_NO_SCHEMAS = frozenset({"const", "default", "enum", "examples"})
_NAMED_SCHEMAS = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "properties"})
_DRAFTS: Mapping[str, tuple[Any, "Specification[Any]"]] = {
    "https://json-schema.org/draft/2020-12/schema": (Draft202012Validator, DRAFT202012),
    "http://json-schema.org/draft-07/schema": (Draft7Validator, DRAFT7),
}
_PROBES: tuple[JsonValue, ...] = (None, {}, [], "", 0)

Keyword: TypeAlias = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TooManyStepsError(Exception):
    """A validation takes more steps than it may."""


class _Steps:
    """What a validation may still cost: a step for each keyword, more for large values.

    Counted instead of timed, so that an answer has the same verdict on every machine and in every replay.
    """

    def __init__(self, value: JsonValue) -> None:
        self._left = MAX_STEPS
        self._sizes: dict[int, int] = {}
        self._measure(value)

    def take(self, value: object) -> None:
        size = len(value) if isinstance(value, str) else self._sizes.get(id(value), 0)
        items = len(value) if isinstance(value, dict | list) else 0
        self._left -= 1 + items + size // _SIZE_OF_STEP
        if self._left < 0:
            raise TooManyStepsError

    def _measure(self, value: JsonValue) -> int:
        if isinstance(value, str):
            return len(value)
        if not isinstance(value, dict | list):
            return 1
        inner = value.values() if isinstance(value, dict) else value
        names = sum(map(len, value)) if isinstance(value, dict) else 0
        size = self._sizes[id(value)] = 1 + names + sum(map(self._measure, inner))
        return size


_STEPS: ContextVar[_Steps] = ContextVar("steps")


class BoundedSchema:
    """A schema that says what is wrong with a value in a bounded number of steps."""

    def __init__(self, schema: JsonObject) -> None:
        """Take ``schema``: draft 2020-12, or 7 where its ``$schema`` says so.

        Raises:
            InvalidInputError: it is no schema, or uses what is not supported.
        """
        draft = str(schema.get("$schema", next(iter(_DRAFTS)))).removesuffix("#")
        if draft not in _DRAFTS:
            raise InvalidInputError(f"$schema has to be one of {', '.join(_DRAFTS)}")
        base, specification = _DRAFTS[draft]
        content = {name: value for name, value in schema.items() if name != "$schema"}
        try:
            base.check_schema(content, format_checker=None)
            patterns = _Inspection(content, specification).patterns
        except SchemaError as error:
            raise InvalidInputError(f"this is no JSON schema: {_said(error)}") from None
        except RecursionError:
            raise InvalidInputError("the schema is nested too deeply") from None
        self._validator: Validator = _guarded(base, patterns)(content, registry=Registry())
        self._refuse_endless()

    def fault(self, value: JsonValue) -> str | None:
        """The first thing that the schema says against ``value``, with its place; None for nothing.

        Raises:
            TooManyStepsError: it takes too long to tell.
        """
        try:
            with _counted(value):
                error = next(iter(self._validator.iter_errors(value)), None)
        except RecursionError:
            raise TooManyStepsError from None
        except ArithmeticError as error_of_numbers:
            return f"its numbers are too large to be compared: {error_of_numbers}"
        return None if error is None else _said(error)

    def _refuse_endless(self) -> None:
        for probe in _PROBES:
            try:
                self.fault(probe)
            except TooManyStepsError:
                raise InvalidInputError("the schema refers to itself without end") from None


class _Inspection:
    """Walks through a schema, refuses what is not supported, and compiles its patterns."""

    def __init__(self, schema: JsonObject, specification: "Specification[Any]") -> None:
        resource = specification.create_resource(schema)
        self._resolver = Registry[Any]().resolver_with_root(resource)
        self._seen: set[int] = set()
        self.patterns: dict[str, Pattern] = {}
        self._visit(schema)

    def _visit(self, schema: JsonValue) -> None:
        if not isinstance(schema, dict) or id(schema) in self._seen:
            return
        self._seen.add(id(schema))
        for name, value in schema.items():
            if name in _UNSUPPORTED:
                raise InvalidInputError(f"a schema with {name} is not supported here")
            if name == "$ref":
                self._follow(value)
            elif name == "pattern" and isinstance(value, str):
                self.patterns[value] = Pattern(value)
            elif name not in _NO_SCHEMAS:
                self._visit_parts(name, value)

    def _visit_parts(self, name: str, value: JsonValue) -> None:
        if isinstance(value, list):
            for item in value:
                self._visit(item)
        elif isinstance(value, dict) and name in _NAMED_SCHEMAS:
            for item in value.values():
                self._visit(item)
        else:
            self._visit(value)

    def _follow(self, reference: JsonValue) -> None:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise InvalidInputError(f"$ref {reference!r} has to stay within the schema: use '#/...'")
        try:
            found: JsonValue = self._resolver.lookup(reference).contents
        except Unresolvable:
            raise InvalidInputError(f"$ref {reference!r} leads nowhere") from None
        if not isinstance(found, dict | bool):
            raise InvalidInputError(f"$ref {reference!r} does not lead to a schema")
        self._visit(found)


@contextmanager
def _counted(value: JsonValue) -> Iterator[None]:
    token = _STEPS.set(_Steps(value))
    try:
        yield
    finally:
        _STEPS.reset(token)


def _guarded(base: Any, patterns: Mapping[str, Pattern]) -> Any:
    """``base`` with every keyword counted, and with those replaced that could take for ever."""

    def pattern(_: Any, text: str, instance: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(instance, str) and patterns[text].search(instance) is None:
            yield ValidationError(f"{instance!r} does not match {text!r}")

    replaced: dict[str, Keyword] = {"pattern": pattern, "uniqueItems": _unique_items}
    counted = {name: _counting(replaced.get(name, keyword)) for name, keyword in base.VALIDATORS.items()}
    return validators.extend(base, counted)  # type: ignore[no-untyped-call]


def _counting(keyword: Keyword) -> Keyword:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        _STEPS.get().take(instance)
        return keyword(validator, value, instance, schema)

    return counted


def _unique_items(_: Any, wanted: Any, instance: Any, __: Any) -> Iterator[ValidationError]:
    """The library compares each item with each other one."""
    if wanted and isinstance(instance, list) and len(set(map(_canonical, instance))) < len(instance):
        yield ValidationError("two items are the same")


def _canonical(value: JsonValue) -> str:
    """The same text for values that JSON schema takes for equal: 1 is 1.0, but not true."""
    return json.dumps(_with_whole_numbers(value), sort_keys=True)


def _with_whole_numbers(value: JsonValue) -> JsonValue:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_whole_numbers(item) for name, item in value.items()}
    return value


def _said(error: ValidationError | SchemaError) -> str:
    return f"{error.json_path}: {error.message}"
