"""Paired differences of several candidates to one incumbent, with intervals that all hold at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

from optimizer.seeds import derive_seed
from optimizer.verdicts import PairedDifference

CONFIDENCE = 0.95
POWER = 0.95
"""Chance that a gain of the size given is shown by as many pairs as ``pairs_needed`` says."""

USUAL_DEVIATION = 0.35
"""Standard deviation of the difference between two prompts on one query, in points: what is typical of the
method (0.2 to 0.67 were measured), and what a few pairs that happen to agree are weighed against."""

PRIOR_PAIRS = 4
"""Pairs that the usual deviation counts for."""

USUAL_GAIN = 0.15
"""Gain of a finalist in points, on the cautious side: of a true 0.3 simulated judges see 0.16 to 0.35."""

PRIOR_GAIN_PAIRS = 32
"""Pairs that the usual gain counts for where a number of queries is planned by few."""

MOST_PAIRS = 10_000
_DRAWS = 20_000
_MIN_FOR_INTERVAL = 2
_STRAIGHT = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """What the error of a mean of paired differences depends on.

    Attributes:
        pairs: two at least.
        deviation: standard deviation of one difference, drawn towards the usual one.
        skewness: third standardised moment.
    """

    pairs: int
    deviation: float
    skewness: float

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.deviation / math.sqrt(self.pairs)


def spread_of(
    differences: Sequence[float], *, usual: float = USUAL_DEVIATION, prior: float = PRIOR_PAIRS
) -> Spread:
    """The spread of at least two ``differences``.

    Rewards are coarse: a few pairs may all differ by the same, which says little about the next one. So the
    variance is that of a sample with ``prior`` more pairs of deviation ``usual`` (a moderated t statistic).
    """
    count, mean = len(differences), fmean(differences)
    squares = sum((item - mean) ** 2 for item in differences)
    variance = (squares + prior * usual**2) / (count - 1 + prior)
    third = sum((item - mean) ** 3 for item in differences) / count
    return Spread(pairs=count, deviation=math.sqrt(variance), skewness=third / variance**1.5)


def simultaneous_differences(
    baseline: Sequence[float | None], contenders: Sequence[Sequence[float | None]]
) -> list[PairedDifference]:
    """The paired differences of all ``contenders`` to ``baseline``, with intervals that all hold at once.

    With a chance of 95 % no interval misses its mean, so that the best of several may be picked by them. The
    quantile is that of the largest of several t statistics with the correlation measured (they share the
    baseline); an interval is the wider of Student's and Hall's, which is corrected for skewness (Hall 1992,
    "On the removal of skewness by transformation"), at each end.

    Args:
        baseline: rewards on each query, None where there is none.
        contenders: the same for each contender, on the same queries.

    Raises:
        ValueError: the lengths differ, or a contender shares no pair with the baseline.
    """
    found = [_differences(baseline, contender) for contender in contenders]
    if not all(found):
        raise ValueError("there is nothing to compare")
    least = min((len(item) for item in found), default=0)
    if least < _MIN_FOR_INTERVAL:
        return [_interval(list(item.values()), quantile=None) for item in found]
    quantile = max_t_quantile(_correlation(found), degrees=least - 1)
    return [_interval(list(item.values()), quantile=quantile) for item in found]


def max_t_quantile(correlation: NDArray[np.float64], *, degrees: int) -> float:
    """What the largest of several |t| stays below with a chance of 95 %.

    Args:
        correlation: of the statistics, positive semidefinite.
        degrees: of freedom, at least 1.

    Returns:
        Student's quantile for one statistic, never more than Bonferroni's. For several it is found from
        20,000 draws that are the same in every run.
    """
    count = len(correlation)
    single = float(stdtrit(degrees, 0.5 + CONFIDENCE / 2))
    if count == 1:
        return single
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    draws = np.random.default_rng(derive_seed(0, "max-t"))
    normal = draws.standard_normal((_DRAWS, count)) @ root.T
    scale = np.sqrt(draws.chisquare(degrees, _DRAWS) / degrees)
    drawn = float(np.quantile(np.abs(normal).max(axis=1) / scale, CONFIDENCE))
    bonferroni = float(stdtrit(degrees, 1 - (1 - CONFIDENCE) / (2 * count)))
    return min(max(drawn, single), bonferroni)


def upper_end(differences: Sequence[float], *, usual: float, level: float) -> float:
    """The end below which the mean of ``differences`` lies with a chance of ``1 - level``, one-sided.

    For few pairs that are part of many: their variance is drawn towards ``usual``, the deviation among all of
    them, which counts as ``PRIOR_PAIRS`` pairs and as many degrees of freedom.
    """
    spread = spread_of(differences, usual=usual)
    quantile = float(stdtrit(spread.pairs - 1 + PRIOR_PAIRS, 1 - level))
    return fmean(differences) + quantile * spread.error


def pairs_needed(effect: float, spread: Spread, *, quantile: float) -> int | None:
    """How many pairs would show a gain of ``effect`` with a chance of ``POWER``; None where no number would.

    Args:
        effect: the gain, less the margin that it has to exceed.
        spread: of the differences measured.
        quantile: what the statistic had to exceed on these pairs; what it has to on more follows.
    """
    if effect <= 0:
        return None
    level = 1 - float(stdtr(spread.pairs - 1, quantile))
    low, high = 2, MOST_PAIRS + 1
    while low < high:
        count = (low + high) // 2
        statistic = effect * math.sqrt(count) / spread.deviation
        if statistic >= float(stdtrit(count - 1, 1 - level)) + float(ndtri(POWER)):
            high = count
        else:
            low = count + 1
    return low if low <= MOST_PAIRS else None


def plausible_gain(mean: float, pairs: int) -> float:
    """The gain to plan by, in points, where ``pairs`` pairs differ by ``mean`` on average.

    A few pairs miss the gain by as much as it is: who plans by what they show asks for far too few whenever
    they flatter, and gives up whenever they don't. So it is drawn towards ``USUAL_GAIN``.
    """
    return (pairs * mean + PRIOR_GAIN_PAIRS * USUAL_GAIN) / (pairs + PRIOR_GAIN_PAIRS)


def _differences(baseline: Sequence[float | None], treated: Sequence[float | None]) -> dict[int, float]:
    """By place, where both have a reward."""
    pairs = enumerate(zip(baseline, treated, strict=True))
    return {
        place: after - before for place, (before, after) in pairs if before is not None and after is not None
    }


def _correlation(found: Sequence[dict[int, float]]) -> NDArray[np.float64]:
    """Of the means of several contenders; where pairs are missing, of those that they share."""
    matrix = np.eye(len(found))
    for row, one in enumerate(found):
        for column, other in enumerate(found[:row]):
            shared = one.keys() & other.keys()
            left = np.array([one[place] for place in sorted(shared)])
            right = np.array([other[place] for place in sorted(shared)])
            value = 0.0
            if len(shared) > 1 and left.std() > 0 and right.std() > 0:
                value = float(np.corrcoef(left, right)[0, 1])
            matrix[row, column] = matrix[column, row] = value
    return matrix


def _interval(differences: Sequence[float], *, quantile: float | None) -> PairedDifference:
    count, mean = len(differences), fmean(differences)
    if quantile is None:
        return PairedDifference(pairs=count, mean=mean, low=None, high=None)
    spread = spread_of(differences)
    above = max(quantile, _untransformed(quantile, spread))
    below = max(quantile, -_untransformed(-quantile, spread))
    return PairedDifference(
        pairs=count, mean=mean, low=mean - above * spread.error, high=mean + below * spread.error
    )


def _untransformed(value: float, spread: Spread) -> float:
    """The t statistic that Hall's transformation, which takes its skewness away, makes ``value`` of."""
    root = math.sqrt(spread.pairs)
    bend = spread.skewness / 3
    if abs(bend) < _STRAIGHT:
        return value
    return root / bend * (float(np.cbrt(1 + 3 * bend / root * (value - spread.skewness / (6 * root)))) - 1)
