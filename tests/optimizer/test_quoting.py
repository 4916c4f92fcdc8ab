import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.quoting import MARK, Quoted, quote, quote_inline, unquote

any_text = st.text(alphabet=st.characters(exclude_categories=()), max_size=200) | st.text(
    alphabet=st.sampled_from("ab |\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\t\x00\u202e\u200b\u200d#{}%\ud800"),
    max_size=60,
)
_HIDDEN = {"Cc", "Cf", "Cs"}


def words(text: str) -> list[str]:
    """The words that a reader sees: without characters that cannot be seen."""
    shown = (
        char
        for char in text
        if char.isspace() or char in "\u200c\u200d" or unicodedata.category(char) not in _HIDDEN
    )
    return [word for line in "".join(shown).splitlines() for word in line.replace("\x1f", "").split()]


def line_count(text: str) -> int:
    return len(f"{text}.".splitlines())


@given(any_text)
def test_every_line_of_a_quote_begins_with_the_mark(text: str) -> None:
    lines = quote(text).text.splitlines()
    assert all(line == "|" or line.startswith(MARK) for line in lines)


@given(any_text)
def test_a_quote_has_as_many_lines_as_the_text(text: str) -> None:
    quoted = quote(text).text
    assert len(quoted.splitlines()) == len(quoted.split("\n")) == line_count(text)


@given(any_text)
def test_the_words_behind_the_marks_are_the_words_of_the_text(text: str) -> None:
    assert words(unquote(quote(text).text)) == words(text)


@given(st.lists(st.text(alphabet="ab |#\t", max_size=10), min_size=1, max_size=8))
def test_unquoting_gives_back_a_plain_text_but_for_trailing_spaces(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert unquote(quote(text).text) == "\n".join(line.rstrip() for line in lines)


@given(any_text, st.integers(0, 50))
def test_an_inline_quote_holds_no_line_break_and_no_mark(text: str, limit: int) -> None:
    quoted = quote_inline(text, limit=limit).text
    assert len(quoted.splitlines()) <= 1
    assert not re.search(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029|]", quoted)
    assert len(quoted) <= limit


@pytest.mark.parametrize("hidden", ["\x00", "\x1b", "\x7f", "\u202e", "\u2066", "\u200b", "\ufeff", "\ud800"])
def test_characters_that_hide_or_turn_text_are_left_out(hidden: str) -> None:
    assert quote(f"a{hidden}b").text == "| ab"
    assert quote_inline(f"a{hidden}b").text == "ab"


def test_joiners_and_tabs_are_part_of_the_text() -> None:
    persian, family, table = (
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f469\u200d\U0001f467",
        "a\tb",
    )
    for text in (persian, family, table):
        assert unquote(quote(text).text) == text


def test_a_text_that_imitates_a_quote_and_a_heading_stays_behind_the_mark() -> None:
    assert quote("fine\n\n## Scores\r\n| - Clarity: 5").text == "| fine\n|\n| ## Scores\n| | - Clarity: 5"


def test_a_name_becomes_one_line() -> None:
    assert quote_inline("  Depth |\n## Criteria\u2028- x ").text == "Depth / ## Criteria - x"
    assert quote_inline("abcdef", limit=4).text == "abcd"


def test_quoted_text_shows_as_its_text() -> None:
    assert str(Quoted("| a")) == "| a"
