"""Criterion scores to one reward."""

import statistics
from collections.abc import Sequence

from optimizer.types import CriterionScore, Score, Scored, Unscored

LOWEST_REWARD = 1.0


def aggregate(scores: Sequence[CriterionScore], *, selection_rationale: str) -> Score:
    """The mean of ``scores`` by their weights; without any other ones all weigh the same (arXiv 2411.08733).

    The weights count in proportion to those of the other scores that are there. A required score that is the
    lowest one makes the reward the lowest one, whatever the others say.

    Args:
        scores: verdicts in 1..5; a criterion without one is simply not among them.
        selection_rationale: why these criteria were chosen; passed on.

    Returns:
        ``Unscored`` where no score has a weight, and no required one decides.
    """
    counted = [score for score in scores if score.weight > 0]
    if any(map(fails, scores)):
        reward = LOWEST_REWARD
    elif counted:
        reward = statistics.fmean((item.score for item in counted), [item.weight for item in counted])
    else:
        return Unscored(reason="no criterion was scored")
    return Scored(reward=reward, criteria=tuple(scores), selection_rationale=selection_rationale)


def fails(score: CriterionScore) -> bool:
    """Whether ``score`` alone decides that the reward is the lowest one."""
    return score.required and score.score <= LOWEST_REWARD
