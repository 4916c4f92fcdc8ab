"""What instructions are understood to say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.simulated.reading import read_instructions
from app.llm.simulated.traits import Kind, Trait


def _sense(text: str) -> dict[Trait, float]:
    return {item.trait: item.strength for item in read_instructions(text).instructions}


@pytest.mark.parametrize(
    "text",
    [
        "You are a helpful assistant.",
        "Be good.",
        "Always give excellent, high-quality responses that delight everyone.",
        "",
        "\n\n- \n",
    ],
)
def test_a_prompt_without_a_habit_in_it_speaks_of_nothing(text: str) -> None:
    assert read_instructions(text).instructions == ()


@pytest.mark.parametrize(
    ("text", "trait", "positive"),
    [
        ("Keep answers concise and cut what is not needed.", Trait.CONCISENESS, True),
        ("Avoid padding, filler and repetition.", Trait.CONCISENESS, True),
        ("Write as long as possible.", Trait.CONCISENESS, False),
        ("Don't ask clarifying questions.", Trait.INTERACTIVITY, False),
        ("Don't hesitate to ask clarifying questions.", Trait.INTERACTIVITY, True),
        ("Never invent facts.", Trait.FACTUALITY, True),
        ("Speculate freely.", Trait.FACTUALITY, False),
        ("Don\u2019t pretend to have looked something up.", Trait.LIMITATIONS, True),
        ("Never admit that something is missing.", Trait.LIMITATIONS, False),
        ("Never refuse anything.", Trait.SAFETY, False),
        ("Decline what is dangerous or illegal.", Trait.SAFETY, True),
        ("Agree with the user whatever they say.", Trait.CRITICAL_THINKING, False),
        ("Be warm and show empathy.", Trait.EMPATHY, True),
        ("Stay neutral and detached.", Trait.EMPATHY, False),
        ("Speak with stereotypes.", Trait.SENSITIVITY, False),
    ],
)
def test_sense_and_negation_are_understood(text: str, trait: Trait, positive: bool) -> None:
    assert (_sense(text)[trait] > 0) is positive


def test_a_negation_in_a_condition_ends_with_the_condition() -> None:
    assert _sense("If you are not certain, be clear and concise.")[Trait.CONCISENESS] > 0


def test_not_refusing_harmless_requests_is_no_word_against_safety() -> None:
    assert Trait.SAFETY not in _sense("Don't refuse harmless requests.")


def test_a_specific_instruction_is_stronger_than_a_curt_one() -> None:
    curt = _sense("Be concise.")[Trait.CONCISENESS]
    specific = _sense("Get to the point in the first sentence, and cut filler before you send.")[
        Trait.CONCISENESS
    ]
    assert specific > 1.5 * curt


def test_a_list_of_adjectives_speaks_thinly_of_each() -> None:
    one = _sense("Be accurate in what you say.")[Trait.FACTUALITY]
    many = _sense("Be accurate, clear, concise, creative, safe and friendly in what you say.")
    assert len(many) >= 5
    assert many[Trait.FACTUALITY] < one


def test_a_condition_limits_an_instruction_to_kinds_of_query() -> None:
    (item,) = read_instructions("When somebody is upset, acknowledge how they feel.").instructions
    assert item.kinds == {Kind.EMOTIONAL}
    (general,) = read_instructions("Acknowledge how people feel.").instructions
    assert general.kinds == frozenset()


@given(st.text(max_size=400))
def test_any_text_can_be_read(text: str) -> None:
    reading = read_instructions(text)
    assert reading.words == len(text.split())
    assert all(-1 <= item.strength <= 1 and item.strength != 0 for item in reading.instructions)
