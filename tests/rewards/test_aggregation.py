"""Criterion scores to a reward."""

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.types import CriterionScore, Scored, Unscored
from rewards.aggregation import aggregate, fails


def verdict(score: float, weight: float = 1.0, *, required: bool = False) -> CriterionScore:
    return CriterionScore(criterion="c", score=score, rationale="", weight=weight, required=required)


def reward(*verdicts: CriterionScore) -> float:
    score = aggregate(verdicts, selection_rationale="")
    assert isinstance(score, Scored)
    return score.reward


def test_the_reward_is_the_mean() -> None:
    verdicts = (verdict(2), verdict(5), verdict(4))
    score = aggregate(verdicts, selection_rationale="why")
    assert score == Scored(reward=11 / 3, criteria=verdicts, selection_rationale="why")


def test_nothing_scored_is_unscored_and_not_zero() -> None:
    assert aggregate((), selection_rationale="why") == Unscored(reason="no criterion was scored")


def test_scores_count_by_their_weight() -> None:
    assert reward(verdict(5, 3), verdict(1, 1)) == 4
    assert reward(verdict(5, 0.3), verdict(1, 0.1)) == pytest.approx(4)


def test_a_score_without_weight_is_kept_and_does_not_count() -> None:
    verdicts = (verdict(1, 0), verdict(4, 2))
    score = aggregate(verdicts, selection_rationale="")
    assert score == Scored(reward=4, criteria=verdicts)
    assert isinstance(aggregate([verdict(3, 0)], selection_rationale=""), Unscored)


def test_a_required_score_that_is_the_lowest_decides_alone() -> None:
    assert reward(verdict(5, 100), verdict(1, 1, required=True)) == 1
    assert reward(verdict(5, 100), verdict(1, 0, required=True)) == 1
    assert reward(verdict(1, 0, required=True)) == 1
    assert reward(verdict(5), verdict(2, required=True)) == 3.5
    assert reward(verdict(5), verdict(5, 0, required=True)) == 5
    assert not fails(verdict(1))


@given(st.lists(st.floats(1, 5), min_size=1, max_size=5))
def test_the_reward_stays_within_the_scores(scores: list[float]) -> None:
    score = aggregate([verdict(value) for value in scores], selection_rationale="")
    assert isinstance(score, Scored)
    assert 1 <= score.reward <= 5
    rounding = 1e-12
    assert min(scores) - rounding <= score.reward <= max(scores) + rounding


@given(st.lists(st.tuples(st.floats(1, 5), st.floats(0.01, 1000)), min_size=1, max_size=6))
def test_weights_count_in_proportion(pairs: list[tuple[float, float]]) -> None:
    once = reward(*(verdict(score, weight) for score, weight in pairs))
    assert reward(*(verdict(score, weight * 7) for score, weight in pairs)) == pytest.approx(once)
    assert min(score for score, _ in pairs) - 1e-9 <= once <= max(score for score, _ in pairs) + 1e-9


@given(st.lists(st.floats(1, 5), min_size=1, max_size=5))
def test_equal_weights_are_the_papers_mean_to_the_last_bit(scores: list[float]) -> None:
    assert reward(*map(verdict, scores)) == fmean(scores)
