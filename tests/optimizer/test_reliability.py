import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.reliability import ENOUGH, LITTLE, JudgedTwice, JudgeReport, judged_criteria, report_on_judge
from optimizer.types import Score, Scored, ScoreSource, Step, Unscored
from tests.optimizer.contests import answered, criterion, score_of, with_criteria


def twice(first: Sequence[float | Score | None], second: Sequence[float | Score | None]) -> list[JudgedTwice]:
    step = answered("a", first)
    return [
        JudgedTwice(first=item, second=score_of(value))
        for item, value in zip(step.evaluations, second, strict=True)
    ]


def again(first: Sequence[float | Score | None], second: Sequence[float | Score | None]) -> JudgeReport:
    return report_on_judge([answered("a", first)], twice(first, second))


def test_a_judge_that_says_the_same_both_times_agrees_with_itself() -> None:
    found = again([1.0, 2, 3, 4, 5, 4, 3, 2], [1.0, 2, 3, 4, 5, 4, 3, 2])
    assert (found.agreement, found.mean_absolute_difference, found.judged_again) == (1.0, 0.0, 8)


def test_krippendorffs_alpha_is_that_of_the_book() -> None:
    """Two raters, interval data: 1 - observed over expected disagreement, computed by hand."""
    first, second = [1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 4.0, 1.0], [1.0, 2.0, 3.0, 3.0, 2.0, 2.0, 4.0, 1.0]
    values = first + second
    expected = sum((one - other) ** 2 for one in values for other in values) / (16 * 15)
    observed = sum((one - other) ** 2 for one, other in zip(first, second, strict=True)) / 8
    assert again(first, second).agreement == pytest.approx(1 - observed / expected)


def test_a_judge_by_chance_agrees_with_itself_by_chance() -> None:
    source = random.Random(4)
    first, second = ([float(source.randint(1, 5)) for _ in range(400)] for _ in range(2))
    found = again(first, second)
    assert found.agreement == pytest.approx(0, abs=0.12)
    assert found.is_below(0.5)
    assert not found.is_below(-1)


def test_scores_that_hardly_differ_are_no_reason_to_distrust_a_judge() -> None:
    found = again([5.0, 4.75] * 8, [4.75, 5.0] * 8)
    assert found.agreement is not None
    assert found.agreement < 0
    assert found.mean_absolute_difference == LITTLE
    assert not found.is_below(0.5)


def test_all_scores_equal_say_nothing_about_agreement() -> None:
    found = again([4.0] * 10, [4.0] * 10)
    assert (found.agreement, found.mean_absolute_difference) == (None, 0.0)
    assert not found.is_below(0.5)


def test_few_answers_judged_twice_say_nothing() -> None:
    found = again([1.0, 5.0] * 3 + [None, 2.0], [5.0, 1.0] * 3 + [2.0, None])
    assert found.judged_again == 6 < ENOUGH
    assert (found.agreement, found.mean_absolute_difference, found.order_effect) == (None, None, None)
    assert not found.is_below(0.5)


def test_a_criterion_that_gains_by_standing_first_is_seen() -> None:
    first = [with_criteria(A=4.0, B=3.5, C=3.0)] * 8
    second = [with_criteria(A=3.0, B=3.5, C=4.0)] * 8
    assert again(first, second).order_effect == pytest.approx(1.0)
    assert again(second, first).order_effect == pytest.approx(-1.0)


def test_what_cannot_change_its_place_says_nothing_about_order() -> None:
    assert again([4.0] * 8, [3.0] * 8).order_effect is None
    assert again([with_criteria(A=4.0, B=4.0)] * 8, [with_criteria(C=4.0)] * 8).order_effect is None


def test_only_what_a_judge_has_scored_counts() -> None:
    checked = criterion("Length", 5.0, ScoreSource.CHECK)
    mixed = Scored(reward=4.0, criteria=(criterion("Clarity", 3.0), checked))
    assert judged_criteria(mixed) == (mixed.criteria[0],)
    assert judged_criteria(Unscored(reason="")) == ()
    found = again([mixed] * 8, [with_criteria(Clarity=3.0)] * 8)
    assert (found.mean_absolute_difference, found.saturated_share) == (0.0, 0.0)
    by_code = Scored(reward=5.0, criteria=(checked,))
    assert again([by_code] * 8, [by_code] * 8).judged_again == 0


def steps_of(rewards: Sequence[Sequence[float | None]], texts: Sequence[Sequence[str]]) -> list[Step]:
    return [
        answered(f"c{place}", scores, texts=words)
        for place, (scores, words) in enumerate(zip(rewards, texts, strict=True))
    ]


def test_longer_answers_with_higher_scores_to_the_same_query_are_seen() -> None:
    short, long = ["a" * 50], ["a" * 500]
    liked = report_on_judge(steps_of([[3.0, 1.0] * 4, [4.0, 2.0] * 4], [short, long]), [])
    disliked = report_on_judge(steps_of([[3.0, 1.0] * 4, [4.0, 2.0] * 4], [long, short]), [])
    assert liked.length_bias == pytest.approx(1.0)
    assert disliked.length_bias == pytest.approx(-1.0)


def test_that_harder_queries_are_answered_at_length_is_no_bias() -> None:
    texts = ["a" * 50, "a" * 500]
    found = report_on_judge(steps_of([[5.0, 1.0] * 4, [5.0, 1.0] * 4], [texts, texts]), [])
    assert found.length_bias is None, "within a query nothing differs"


def test_too_few_answers_say_nothing_about_length() -> None:
    found = report_on_judge(steps_of([[3.0, None], [4.0, 4.0]], [["a"], ["bb"]]), [])
    assert found.length_bias is None


def test_saturation_ties_and_missing_scores_are_shares() -> None:
    found = report_on_judge(
        steps_of([[5.0, 3.0, None, 5.0], [5.0, 4.0, 5.0, 5.0], [5.0, 4.0, 2.0, 1.0]], [["a"]] * 3), []
    )
    assert (found.answers, found.unscored_share) == (12, 1 / 12)
    assert found.saturated_share == pytest.approx(6 / 11)
    assert found.tied_share == pytest.approx((3 + 1 + 0 + 1) / (3 + 3 + 1 + 3))


def test_nothing_is_known_of_a_judge_that_has_judged_nothing() -> None:
    found = report_on_judge([], [])
    assert found.answers == found.judged_again == 0
    assert {found.unscored_share, found.saturated_share, found.tied_share, found.length_bias} == {None}


@given(st.lists(st.tuples(st.floats(1, 5), st.floats(1, 5)), max_size=30))
def test_agreement_is_one_at_most_and_does_not_depend_on_who_was_first(
    values: list[tuple[float, float]],
) -> None:
    first, second = [one for one, _ in values], [other for _, other in values]
    forth, back = again(first, second), again(second, first)
    assert forth.agreement == pytest.approx(back.agreement) or forth.agreement is back.agreement is None
    assert forth.agreement is None or forth.agreement <= 1 + 1e-9
