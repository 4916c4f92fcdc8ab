"""Patterns that have to occur, or must not, and that cannot hang."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import InvalidInputError
from rewards.checks.check import Verdict
from rewards.checks.patterns import Pattern, PatternRule

EVIL = [r"(a+)+$", r"(a|a)*b", r"(a|aa)+$", r"(.*a){12}b", r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(\w+\s?)*!$"]


def test_a_pattern_that_occurs_is_shown_with_its_place() -> None:
    assert PatternRule(r"\d+ minutes").judge("It takes 7 minutes.") == Verdict(
        score=5, rationale='The pattern occurs at character 10: "7 minutes"'
    )
    assert PatternRule("^").judge("x") == Verdict(score=5, rationale="The pattern occurs at character 1.")


def test_a_pattern_that_is_missing_fails_or_passes_as_asked() -> None:
    assert PatternRule("egg").judge("soup") == Verdict(score=1, rationale="The pattern does not occur.")
    assert PatternRule("egg", wanted=False).judge("soup") == Verdict(
        score=5, rationale="The pattern does not occur."
    )
    refused = PatternRule("(?i)egg", wanted=False).judge("An EGG")
    assert isinstance(refused, Verdict)
    assert refused.score == 1


@pytest.mark.parametrize("text", [r"(?=x)", r"(a)\1", "(", "x{1001}", "((a{100}){100}){100}", "\ud800"])
def test_a_pattern_that_is_not_linear_or_not_one_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"the pattern cannot be used: .+RE2"):
        Pattern(text)


@pytest.mark.parametrize("evil", EVIL)
def test_an_evil_pattern_takes_time_in_proportion_to_the_answer(evil: str) -> None:
    """A backtracking engine would not end before the sun does."""
    found = PatternRule(evil).judge("a" * 200_000 + "?")
    assert isinstance(found, Verdict)
    assert found.score == 1


@given(st.text(max_size=20), st.text(max_size=200))
def test_any_pattern_on_any_answer_gives_a_verdict_or_is_refused(pattern: str, answer: str) -> None:
    try:
        rule = PatternRule(pattern)
    except InvalidInputError:
        return
    found = rule.judge(answer)
    assert isinstance(found, Verdict)
    assert found.score in {1, 5}


@given(st.text(st.characters(), max_size=50), st.text(max_size=10))
def test_the_place_of_a_match_is_counted_in_characters(before: str, after: str) -> None:
    answer = f"{before}\u2603{after}"
    span = Pattern("\u2603").search(answer)
    assert span is not None
    assert answer[span[0] : span[1]] == "\u2603"
