"""Words in any script: found whole, and counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import InvalidInputError
from rewards.checks.check import Verdict
from rewards.checks.forbidden_words import ForbiddenWordsRule
from rewards.checks.length import LengthRule
from rewards.checks.words import count_words, folded


def verdict(words: list[str], answer: str) -> float:
    found = ForbiddenWordsRule(words).judge(answer)
    assert isinstance(found, Verdict)
    return found.score


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("damn", "Well, DAMN!"),
        ("damn", "damn"),
        ("kick the bucket", "He will kick\n the   bucket."),
        ("straße", "Die STRASSE ist lang"),
        ("café", "a cafe\u0301 here"),
        ("ﬁsh", "fish"),
        ("evil", "e\u00advi\u200bl plans"),
        ("C++", "I like C++."),
        ("笨蛋", "你这个笨蛋啊"),
        ("ass", "assess, then ass"),
    ],
)
def test_a_forbidden_word_is_found_however_it_is_written(word: str, answer: str) -> None:
    assert verdict([word], answer) == 1


@pytest.mark.parametrize(
    ("word", "answer"),
    [("ass", "assess the class"), ("art", "party_art_x"), ("é", "cafés"), ("1", "217"), ("damn", "")],
)
def test_a_part_of_a_word_is_no_word(word: str, answer: str) -> None:
    assert verdict([word], answer) == 5


def test_the_reason_lists_what_was_found_as_it_was_given() -> None:
    found = ForbiddenWordsRule(["Sorry", "egg", "As an AI"]).judge("sorry, as an ai I can't")
    assert found == Verdict(score=1, rationale="Forbidden words occur: Sorry, As an AI.")
    assert ForbiddenWordsRule(["egg"]).judge("soup") == Verdict(
        score=5, rationale="None of the forbidden words occurs."
    )


@pytest.mark.parametrize("word", ["", " ", "\u200b"])
def test_a_blank_word_is_refused(word: str) -> None:
    with pytest.raises(InvalidInputError, match="blank"):
        ForbiddenWordsRule(["egg", word])


@given(st.text(st.characters(categories=["Ll", "Lu"]), min_size=1, max_size=8), st.text(max_size=40))
def test_a_word_between_spaces_is_always_found(word: str, around: str) -> None:
    if folded(word):
        assert verdict([word], f"{around} {word.upper()} {around}") == 1 or folded(word.upper()) != folded(
            word
        )


@given(st.lists(st.text(max_size=10), max_size=5), st.text(max_size=100))
def test_any_words_on_any_answer_give_a_verdict(words: list[str], answer: str) -> None:
    rule = ForbiddenWordsRule([f"x{word}" for word in words])
    assert isinstance(rule.judge(answer), Verdict)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("  one, two -- three! ", 3),
        ("don't stop", 2),
        ("你好世界", 4),
        ("GPT你好", 3),
        ("...", 0),
        ("3.5 x", 2),
    ],
)
def test_words_are_counted_as_readers_count_them(text: str, count: int) -> None:
    assert count_words(text) == count


@pytest.mark.parametrize(
    ("rule", "answer", "score"),
    [
        (LengthRule(least=2, most=3), "one two", 5),
        (LengthRule(least=2, most=3), "one two three", 5),
        (LengthRule(least=2, most=3), "one", 1),
        (LengthRule(least=2, most=3), "one two three four", 1),
        (LengthRule(least=2), "one " * 1000, 5),
        (LengthRule(most=0), "", 5),
        (LengthRule(unit="characters", most=3), " abc \n", 5),
        (LengthRule(unit="characters", most=3), "abcd", 1),
        (LengthRule(unit="characters", least=10, most=20, soft=10), "x" * 25, 3),
        (LengthRule(unit="characters", least=10, most=20, soft=10), "x" * 30, 1),
        (LengthRule(unit="characters", least=10, most=20, soft=10), "x" * 99, 1),
        (LengthRule(unit="characters", least=10, most=20, soft=10), "x" * 5, 3),
        (LengthRule(unit="characters", least=10, most=20, soft=10), "x" * 9, 4.6),
    ],
)
def test_length_is_scored_by_its_distance_from_the_range(rule: LengthRule, answer: str, score: float) -> None:
    found = rule.judge(answer)
    assert isinstance(found, Verdict)
    assert found.score == pytest.approx(score)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (LengthRule(least=2), "1 words; at least 2 are asked for."),
        (LengthRule(most=2), "1 words; at most 2 are asked for."),
        (LengthRule(least=2, most=4), "1 words; 2 to 4 are asked for."),
    ],
)
def test_the_reason_says_how_long_and_how_long_it_may_be(rule: LengthRule, said: str) -> None:
    found = rule.judge("one")
    assert isinstance(found, Verdict)
    assert found.rationale == said


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 30), st.text(max_size=120))
def test_length_never_leaves_the_scale(least: int, more: int, soft: int, answer: str) -> None:
    rule = LengthRule(unit="characters", least=least, most=least + more, soft=soft)
    found = rule.judge(answer)
    assert isinstance(found, Verdict)
    assert 1 <= found.score <= 5
    assert (found.score == 5) is (least <= len(answer.strip()) <= least + more)
