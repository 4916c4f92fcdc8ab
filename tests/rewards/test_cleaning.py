"""Names and texts that models write."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.cleaning import MAX_NAME, clean_line, clean_name, clean_text, name_key


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("Tone Match", "Tone Match"),
        ("  **Tone   Match**  ", "Tone Match"),
        ("1. Tone Match", "Tone Match"),
        ("2) - Tone Match", "Tone Match"),
        ("Tone Match: fits the occasion", "Tone Match"),
        ("Tone Match (register)", "Tone Match"),
        ("tone_match", "tone match"),
        ("Tone\nMatch\n## Answer", "Tone Match Answer"),
        ("| Tone", "Tone"),
        ("3D accuracy", "3D accuracy"),
        ("Ton des Briefs für Großeltern", "Ton des Briefs für Großeltern"),
        ("उपयोगिता", "उपयोगिता"),
        ("cafe§\u0301", "café"),
        ("x" * 60, "x" * MAX_NAME),
        ("{{ query }}", "query"),
        ("42", ""),
        ("", ""),
        ("!?", ""),
    ],
)
def test_a_name_is_reduced_to_its_words(written: str, cleaned: str) -> None:
    assert clean_name(written) == cleaned


@given(st.text())
def test_a_cleaned_name_is_a_short_line_that_cleaning_leaves_alone(text: str) -> None:
    name = clean_name(text)
    assert len(name) <= MAX_NAME
    assert len(name.splitlines()) <= 1
    assert clean_name(name) == name
    assert bool(name_key(text)) == bool(name)


@pytest.mark.parametrize(
    "written", ["Critical-Thinking", "critical thinking", "CRITICAL_THINKING", "**CriticalThinking**:"]
)
def test_names_are_compared_without_case_spaces_hyphens_and_underscores(written: str) -> None:
    assert name_key(written) == "criticalthinking"


@given(st.text(alphabet=st.characters()), st.integers(0, 50))
def test_a_cleaned_text_can_be_stored_and_keeps_its_limit(text: str, limit: int) -> None:
    cleaned = clean_text(text, limit=limit)
    assert len(cleaned) <= limit
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in cleaned if char not in "\t\n")


def test_a_cleaned_text_keeps_its_lines_and_loses_what_hides_in_them() -> None:
    assert clean_text(" first\r\n| second\u2028\x00th\u202eird\ud800 ") == "first\n| second\nthird"


def test_a_cleaned_line_is_one_line() -> None:
    assert clean_line(" one\n\n## two ", limit=100) == "one ## two"
    assert clean_line("one two", limit=4) == "one"
