"""Expected labels out of log-probabilities."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import MalformedReplyError
from optimizer.types import JsonValue
from rewards.label_probabilities import LABELS, LEAST_LABEL_MASS, expected_labels
from tests.rewards.builders import digits_reply


def place(token: str, logprob: float, **others: float) -> dict[str, JsonValue]:
    alternatives: list[JsonValue] = [{"token": name, "logprob": value} for name, value in others.items()]
    return {"token": token, "logprob": logprob, "top_logprobs": alternatives}


def one(*entries: JsonValue) -> float | None:
    (label,) = expected_labels({"content": list(entries)}, 1)
    return label


def test_the_expectation_is_finer_than_the_digit_written() -> None:
    reply = digits_reply({"4": 0.6, "5": 0.3, "3": 0.1}, {"5": 0.9, "4": 0.1})
    assert list(expected_labels(reply.logprobs, 2)) == pytest.approx([4.2, 4.9])


def test_a_label_counts_in_all_its_forms_and_the_sampled_one_once() -> None:
    entry: JsonValue = {
        "token": " 4",
        "logprob": math.log(0.3),
        "top_logprobs": [
            {"token": " 4", "logprob": math.log(0.3)},
            {"token": "4", "logprob": math.log(0.3)},
            {"token": "2", "logprob": math.log(0.3)},
            {"token": "the", "logprob": math.log(0.1)},
        ],
    }
    assert one(entry) == pytest.approx((4 * 0.6 + 2 * 0.3) / 0.9)


def test_a_sampled_label_that_is_missing_from_the_alternatives_counts() -> None:
    assert one(place("1", math.log(0.4), **{"5": math.log(0.5)})) == pytest.approx((0.4 + 2.5) / 0.9)


def test_masked_tokens_count_nothing_and_rounded_ones_no_more_than_all() -> None:
    assert one(place("3", 1e-7, **{"1": -9999.0})) == pytest.approx(3)


def test_what_lies_mostly_on_no_label_is_no_score() -> None:
    assert one(place("3", math.log(LEAST_LABEL_MASS - 0.01))) is None
    assert one(place("3", math.log(LEAST_LABEL_MASS + 0.01))) == pytest.approx(3)


def test_space_around_labels_is_passed_over_and_what_follows_the_last_is_not_looked_at() -> None:
    entries: list[JsonValue] = [
        place("\n", 0.0),
        place("2", 0.0),
        place(" ", 0.0),
        place("5", 0.0),
        place("Done", 0.0),
    ]
    assert expected_labels({"content": entries}, 2) == (2, 5)


@pytest.mark.parametrize(
    ("reply", "count"),
    [
        ("10/10", 1),
        ("50", 1),
        ("4.5", 1),
        ("4,5", 1),
        ("45", 2),
        ("45", 1),
        ("4/10", 1),
        ("4/50", 1),
        ("4\n5.5", 2),
    ],
)
def test_a_digit_of_another_number_is_no_label(reply: str, count: int) -> None:
    with pytest.raises(MalformedReplyError, match="begins with"):
        expected_labels({"content": [place(token, 0.0) for token in reply]}, count)


@pytest.mark.parametrize("reply", ["4", "4.", "4/5", "4 5", "4\n", "4, good", "4 10"])
def test_a_label_may_be_followed_by_what_makes_no_other_number_of_it(reply: str) -> None:
    assert one(*(place(token, 0.0) for token in reply)) == pytest.approx(4)


def test_a_label_that_brings_its_line_break_with_it_is_one_before_a_digit() -> None:
    assert expected_labels({"content": [place("4\n", 0.0), place("5", 0.0)]}, 2) == (4, 5)


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        [],
        {"content": None},
        {"content": []},
        {"content": ["5"]},
        {"content": [{"token": 5, "logprob": 0.0}]},
        {"content": [place("Sure", 0.0), place("5", 0.0)]},
        {"content": [place("45", 0.0)]},
        {"content": [place("0", 0.0)]},
    ],
)
def test_a_reply_that_does_not_begin_with_labels_is_malformed(logprobs: Any) -> None:
    with pytest.raises(MalformedReplyError, match="begins with 0 labels"):
        expected_labels(logprobs, 1)


def test_too_few_labels_are_malformed() -> None:
    enumerated: list[JsonValue] = [place("1", 0.0), place(".", 0.0), place(" 4", 0.0)]
    with pytest.raises(MalformedReplyError, match="begins with 1 labels that have log-probabilities, not"):
        expected_labels({"content": enumerated}, 2)


def test_alternatives_that_cannot_be_read_are_left_out() -> None:
    odd: list[Any] = ["5", {"token": 5, "logprob": 0.0}, {"token": "5", "logprob": "high"}]
    assert one({"token": "2", "logprob": 0.0, "top_logprobs": odd}) == 2
    assert one({"token": "2", "logprob": 0.0, "top_logprobs": None}) == 2


@given(st.lists(st.floats(0.01, 1), min_size=5, max_size=5))
def test_any_shares_give_a_label_between_the_lowest_and_the_highest(shares: list[float]) -> None:
    belief = {label: share / sum(shares) for label, share in zip(LABELS, shares, strict=True)}
    (label,) = expected_labels(digits_reply(belief).logprobs, 1)
    assert label is not None
    assert 1 <= label <= 5
    assert label == pytest.approx(sum(LABELS[name] * share for name, share in belief.items()))
