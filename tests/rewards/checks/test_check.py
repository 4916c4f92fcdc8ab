"""A rule with its name and weight becomes a score."""

import pytest

from optimizer.types import CriterionScore, Query, ScoreSource, Unscored
from rewards.checks.check import Check
from rewards.checks.json_schema import MAX_ANSWER, JsonSchemaRule
from rewards.checks.length import LengthRule


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
