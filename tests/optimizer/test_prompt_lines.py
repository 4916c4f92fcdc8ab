import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.prompt_lines import PromptLines, read_prompt, write_prompt

LISTED = PromptLines(introduction="You are kind.\nAlways.", instructions=("Be brief.", "Ask back."))

pieces = st.lists(
    st.sampled_from(
        ["- a", "* b", "2) c", "  - d", "e", "", " ", "-", "- - f", "\u2003", "- \t", "## g", "\r"]
    )
    | st.text(max_size=6),
    max_size=12,
)


@pytest.mark.parametrize("marks", ["--", "**", "\u2022\u2022", "1.2.", "1)2)", "-*"])
def test_an_introduction_and_a_flat_list_are_read_whatever_the_marks_are(marks: str) -> None:
    half = len(marks) // 2
    text = f"\nYou are kind.\nAlways.\n\n{marks[:half]} Be brief. \n\n{marks[half:]}  Ask back.\n"
    assert read_prompt(text) == LISTED


def test_a_prompt_without_a_list_is_an_introduction() -> None:
    assert read_prompt(" You are kind. ") == PromptLines(introduction="You are kind.", instructions=())


def test_a_list_may_stand_alone() -> None:
    assert read_prompt("- Be brief.") == PromptLines(introduction="", instructions=("Be brief.",))


@pytest.mark.parametrize(
    "text",
    [
        "You are kind.\n- Be brief.\nThank you.",
        "You are kind.\n- Be brief.\n  - in words\n- Ask back.",
        "# Style\n- Be brief.\n# Manner\n- Ask back.",
        "You are kind.\n- Be brief,\n  in words and lines.",
    ],
)
def test_what_is_more_than_a_flat_list_is_not_taken_apart(text: str) -> None:
    assert read_prompt(text) == PromptLines(introduction=text, instructions=())


@pytest.mark.parametrize(
    "line", ["-5 degrees are cold.", "2024. That was the year.", "**Important** words", "-"]
)
def test_a_line_that_only_looks_like_an_item_is_none(line: str) -> None:
    assert read_prompt(line).instructions == ()


def test_written_prompts_have_a_blank_line_before_the_list_and_nothing_superfluous() -> None:
    assert write_prompt(LISTED) == "You are kind.\nAlways.\n\n- Be brief.\n- Ask back."
    assert write_prompt(PromptLines(introduction="", instructions=("a",))) == "- a"
    assert write_prompt(PromptLines(introduction="x", instructions=())) == "x"
    assert write_prompt(PromptLines(introduction="", instructions=())) == ""


def test_features_are_the_lines_of_both_parts_each_once_and_none_empty() -> None:
    lines = PromptLines(
        introduction="You are kind.\n\n Always. ", instructions=("Ask back.", "Always.", "Ask back.")
    )
    assert lines.features == ("You are kind.", "Always.", "Ask back.")


@given(pieces)
def test_what_was_read_is_written_so_that_it_is_read_again(parts: list[str]) -> None:
    lines = read_prompt("\n".join(parts))
    assert read_prompt(write_prompt(lines)) == lines


@given(pieces)
def test_no_word_of_a_prompt_is_lost(parts: list[str]) -> None:
    lines = read_prompt("\n".join(parts))
    marks = {"-", "*", "\u2022"}
    written = [word for word in write_prompt(lines).split() if word not in marks]
    for word in written:
        assert word in "\n".join(parts)
    assert all(lines.instructions)
    assert len(set(lines.features)) == len(lines.features)
