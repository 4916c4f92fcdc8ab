"""A rule with its name and weight becomes a score."""

import pytest

from optimizer.types import CriterionScore, Query, ScoreSource, Unscored
from rewards.checks.check import Check, Rule
from rewards.checks.forbidden_words import ForbiddenWordsRule
from rewards.checks.json_schema import MAX_ANSWER, JsonSchemaRule
from rewards.checks.length import LengthRule
from rewards.checks.patterns import PatternRule


def test_the_score_says_that_it_comes_from_a_check() -> None:
    check = Check(name="Short", rule=LengthRule(most=3), weight=2, required=True)
    assert check.score("one two") == CriterionScore(
        criterion="Short",
        score=5,
        rationale="2 words; at most 3 are asked for.",
        weight=2,
        source=ScoreSource.CHECK,
        required=True,
    )


def test_without_a_verdict_the_reason_names_the_check() -> None:
    found = Check(name="Form", rule=JsonSchemaRule({})).score("x" * (MAX_ANSWER + 1))
    assert isinstance(found, Unscored)
    assert found.reason.startswith("Form: the answer is longer")


@pytest.mark.parametrize(
    "rule",
    [
        LengthRule(most=3),
        LengthRule(unit="characters", most=3),
        ForbiddenWordsRule(["a" * 99, "kick the bucket", "\u7b28\u86cb"]),
        PatternRule(r"(\pL+\s?)*!$"),
        JsonSchemaRule({"type": "array", "uniqueItems": True}),
    ],
    ids=lambda rule: type(rule).__name__,
)
@pytest.mark.parametrize(
    "answer", ["a" * 2**20, "word " * 2**18, "\u4f60\u597d" * 2**18, "[" * 2**20, "```\n" * 2**18]
)
def test_a_huge_answer_is_judged_or_has_no_verdict(rule: Rule, answer: str) -> None:
    found = rule.judge(answer)
    assert isinstance(found, Unscored) or 1 <= found.score <= 5


@pytest.mark.parametrize(
    ("kinds", "kind", "applies"),
    [
        ((), None, True),
        ((), "code", True),
        (("code",), "code", True),
        (("code",), "help", False),
        (("code",), None, False),
    ],
)
def test_a_check_is_for_the_kinds_it_names(
    kinds: tuple[str, ...], kind: str | None, *, applies: bool
) -> None:
    check = Check(name="Short", rule=LengthRule(most=3), kinds=frozenset(kinds))
    assert check.applies(Query(id="q", text="?", kind=kind)) is applies
