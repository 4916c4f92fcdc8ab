"""Criterion scores to a reward."""

from hypothesis import given
from hypothesis import strategies as st

from optimizer.types import CriterionScore, Scored, Unscored
from rewards.aggregation import aggregate


def verdict(score: float) -> CriterionScore:
    return CriterionScore(criterion="c", score=score, rationale="")


def test_the_reward_is_the_mean() -> None:
    verdicts = (verdict(2), verdict(5), verdict(4))
    score = aggregate(verdicts, selection_rationale="why")
    assert score == Scored(reward=11 / 3, criteria=verdicts, selection_rationale="why")


def test_nothing_scored_is_unscored_and_not_zero() -> None:
    assert aggregate((), selection_rationale="why") == Unscored(reason="no criterion was scored")


@given(st.lists(st.floats(1, 5), min_size=1, max_size=5))
def test_the_reward_stays_within_the_scores(scores: list[float]) -> None:
    score = aggregate([verdict(value) for value in scores], selection_rationale="")
    assert isinstance(score, Scored)
    assert 1 <= score.reward <= 5
    rounding = 1e-12
    assert min(scores) - rounding <= score.reward <= max(scores) + rounding
