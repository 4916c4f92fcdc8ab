"""Criterion scores to one reward."""

import statistics
from collections.abc import Sequence

from optimizer.types import CriterionScore, Score, Scored, Unscored


def aggregate(scores: Sequence[CriterionScore], *, selection_rationale: str) -> Score:
    """The mean of ``scores``, all criteria weighing the same (arXiv 2411.08733).

    Args:
        scores: verdicts in 1..5; a criterion without one is simply not among them.
        selection_rationale: why these criteria were chosen; passed on.

    Returns:
        ``Unscored`` where there is no score at all.
    """
    if not scores:
        return Unscored(reason="no criterion was scored")
    return Scored(
        reward=statistics.fmean(score.score for score in scores),
        criteria=tuple(scores),
        selection_rationale=selection_rationale,
    )
