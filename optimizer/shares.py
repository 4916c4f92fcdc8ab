"""What is known of shares (how many of the requests failed) from counts alone.

The interval holds at all numbers of requests at once, so it may be looked at after each of them: the
beta-binomial mixture is a martingale for the true share, and by Ville's inequality it hardly ever exceeds
1/level (Robbins 1970; Howard et al., arXiv 1810.08240). It supposes that requests fail independently.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import betainc, betaincinv, betaln

_PRIOR: Final = 0.5
"""Of the mixture, on both sides (Jeffreys')."""
_HALVINGS: Final = 60
_GRID: Final = np.linspace(0.0, 1.0, 513)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareCount:
    """How many of ``total`` were so; ``hits`` may be a sum of numbers from 0 to 1."""

    hits: float
    total: int


def share_interval(count: ShareCount, *, level: float) -> tuple[float, float]:
    """An interval for the share behind ``count`` that holds at all totals at once.

    Args:
        count: what was seen, with a whole number of hits.
        level: the chance of ever missing, above 0 and below 1.

    Returns:
        Its ends; 0 and 1 where nothing was seen.
    """
    if count.total == 0:
        return 0.0, 1.0
    misses = count.total - count.hits
    mixture = float(betaln(_PRIOR + count.hits, _PRIOR + misses) - betaln(_PRIOR, _PRIOR))

    def is_excluded(share: float) -> bool:
        likelihood = _times_log(count.hits, share) + _times_log(misses, 1 - share)
        return mixture - likelihood >= -math.log(level)

    seen = count.hits / count.total
    return _edge(is_excluded, seen, 0.0), _edge(is_excluded, seen, 1.0)


def chances_of_best(counts: Sequence[ShareCount]) -> tuple[float, ...]:
    """How often Thompson sampling draws each: its chance to have the highest share, under a uniform prior.

    By quadrature on the quantiles of all posteriors; the chances add up to 1.
    """
    posteriors = [(1 + count.hits, 1 + count.total - count.hits) for count in counts]
    grid = np.unique(np.concatenate([betaincinv(a, b, _GRID) for a, b in posteriors]))
    middles = (grid[1:] + grid[:-1]) / 2
    below = np.array([betainc(a, b, middles) for a, b in posteriors])
    chances = [
        float((np.diff(betainc(a, b, grid)) * np.delete(below, place, axis=0).prod(axis=0)).sum())
        for place, (a, b) in enumerate(posteriors)
    ]
    total = math.fsum(chances)
    return tuple(chance / total for chance in chances)


def _times_log(factor: float, value: float) -> float:
    if factor == 0:
        return 0.0
    return factor * math.log(value) if value > 0 else -math.inf


def _edge(is_excluded: Callable[[float], bool], inside: float, outside: float) -> float:
    if not is_excluded(outside):
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if is_excluded(middle):
            outside = middle
        else:
            inside = middle
    return outside
