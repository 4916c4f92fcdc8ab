"""Paired differences and their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """Mean of paired differences with its interval; the ends are None with fewer than two pairs."""

    pairs: int
    mean: float
    low: float | None
    high: float | None


def paired_difference(baseline: Sequence[float], treated: Sequence[float]) -> PairedDifference:
    """Student's interval (95 %, two-sided) of the mean of ``treated - baseline``.

    Args:
        baseline: rewards of one prompt, at least one.
        treated: rewards of the other on the same queries, in the same order.

    Raises:
        ValueError: the lengths differ or there is nothing to compare.
    """
    differences = [after - before for before, after in zip(baseline, treated, strict=True)]
    if not differences:
        raise ValueError("there is nothing to compare")
    mean, count = fmean(differences), len(differences)
    if count == 1:
        return PairedDifference(pairs=1, mean=mean, low=None, high=None)
    quantile = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2))
    margin = quantile * stdev(differences) / math.sqrt(count)
    return PairedDifference(pairs=count, mean=mean, low=mean - margin, high=mean + margin)
