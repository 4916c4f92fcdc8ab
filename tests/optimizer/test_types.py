import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.types import JsonValue, Message, Spend, Usage
from tests.optimizer.builders import make_path

spends = st.builds(
    Spend,
    calls=st.integers(0, 9),
    prompt_tokens=st.integers(0, 99),
    completion_tokens=st.integers(0, 99),
    cost=st.integers(0, 64).map(lambda value: value / 64),
)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("hello", "hello"),
        ("", ""),
        (None, ""),
        (7, ""),
        ({"text": "not a list"}, ""),
        ([], ""),
        (
            [
                {"type": "text", "text": "one"},
                {"type": "image_url", "image_url": {"url": "x"}},
                "loose",
                {"type": "text", "text": 2},
                {"type": "text", "text": "two"},
            ],
            "one\ntwo",
        ),
    ],
)
def test_the_text_of_a_message_is_its_textual_part(content: JsonValue, text: str) -> None:
    assert Message(role="user", content=content).text == text


def test_a_message_shares_no_extra_fields_with_another() -> None:
    message = Message(role="user", content="x")
    assert dict(message.extra) == {}
    with pytest.raises(TypeError):
        message.extra["name"] = "eve"  # type: ignore[index]


def test_values_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Usage().prompt_tokens = 1  # type: ignore[misc]


@given(spends, spends)
def test_spends_add_up_field_by_field(one: Spend, other: Spend) -> None:
    total = one + other
    for field in dataclasses.fields(Spend):
        assert getattr(total, field.name) == getattr(one, field.name) + getattr(other, field.name)
    assert total.tokens == one.tokens + other.tokens
    assert one + Spend() == one


def test_usages_add_up_field_by_field() -> None:
    total = Usage(prompt_tokens=1, completion_tokens=2) + Usage(prompt_tokens=10, completion_tokens=20)
    assert total == Usage(prompt_tokens=11, completion_tokens=22)
    assert total.total_tokens == 33


def test_a_lineage_ends_in_its_last_steps_candidate() -> None:
    path = make_path("0.1", [[3], [4], [5]])
    assert path.last is path.steps[-1]
    assert path.candidate.id == "c2.0.1"
