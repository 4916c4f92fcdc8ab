"""From a job's row to its code rewards."""

from app.jobs.reward_spec import (
    CheckSpec,
    ForbiddenWordsCheckSpec,
    JsonSchemaCheckSpec,
    LengthCheckSpec,
    RegexCheckSpec,
)
from rewards.checks.check import Check, Rule
from rewards.checks.forbidden_words import ForbiddenWordsRule
from rewards.checks.json_schema import JsonSchemaRule
from rewards.checks.length import LengthRule
from rewards.checks.patterns import PatternRule


def build_check(spec: CheckSpec) -> Check:
    """The check that ``spec`` describes.

    Raises:
        InvalidInputError: its pattern, schema or words cannot be used.
    """
    return Check(
        name=spec.name,
        rule=_rule(spec),
        weight=spec.weight,
        required=spec.required,
        kinds=frozenset(spec.kinds),
    )


def _rule(spec: CheckSpec) -> Rule:
    match spec:
        case RegexCheckSpec():
            return PatternRule(spec.pattern, wanted=spec.match)
        case JsonSchemaCheckSpec():
            return JsonSchemaRule(spec.schema_)
        case LengthCheckSpec():
            return LengthRule(unit=spec.unit, least=spec.min, most=spec.max, soft=spec.soft)
        case ForbiddenWordsCheckSpec():
            return ForbiddenWordsRule(spec.words)
