"""Who is still worth evaluating: races between candidates on shared queries.

Two rules, and the record says which one it was. *Beaten* is a claim: the confidence sequence of the paired
difference to the leader lies below zero. It may be looked at after every block of queries without losing its
level (the normal mixture of Robbins with a shrunk variance plugged in: an asymptotic confidence sequence,
Waudby-Smith et al., arXiv 2103.06476). *Unpromising* claims nothing: the budget is better spent on others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, pvariance

LEVEL = 0.05
"""Chance that a candidate which is as good as the leader is ever called beaten, over all looks."""
_LEAST_PAIRS = 4
_PRIOR_PAIRS, _PRIOR_DEVIATION = 4, 1.0
"""A few like differences must not look like certainty: the variance counts these as seen as well."""
_TUNED_FOR = 12
"""Pairs at which the sequence is tightest."""


class DropReason(StrEnum):
    """Why a candidate left a race."""

    BEATEN = "beaten"
    UNPROMISING = "unpromising"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A candidate in a race.

    Attributes:
        candidate_id: which.
        value: its expected reward above a common level.
        deviation: how unsure its distance to the leader is.
        differences: its rewards less the leader's on the queries that both have answered.
    """

    candidate_id: str
    value: float
    deviation: float
    differences: tuple[float, ...]


def confidence_sequence(differences: Sequence[float], *, level: float = LEVEL) -> tuple[float, float]:
    """An interval for the mean difference that holds at all numbers of pairs at once, with 1 - ``level``.

    Args:
        differences: paired differences in the order in which they came.
        level: the chance of ever missing.

    Returns:
        Its ends; infinite ones with fewer than four pairs.
    """
    count = len(differences)
    if count < _LEAST_PAIRS:
        return -math.inf, math.inf
    known = count * pvariance(differences) + _PRIOR_PAIRS * _PRIOR_DEVIATION**2
    deviation = math.sqrt(known / (count + _PRIOR_PAIRS - 1))
    tuning = (-2 * math.log(level) + math.log(1 - 2 * math.log(level))) / _TUNED_FOR
    scaled = count * tuning + 1
    margin = deviation * math.sqrt(2 * scaled / (count**2 * tuning) * math.log(math.sqrt(scaled) / level))
    mean = fmean(differences)
    return mean - margin, mean + margin


def drop(
    standings: Sequence[Standing], *, leader_id: str, keep: int, patience: float
) -> dict[str, DropReason]:
    """Who leaves the race now.

    Args:
        standings: those in the race, the leader among them or not.
        leader_id: the best candidate so far; it is never dropped.
        keep: how many others may stay at most.
        patience: posterior standard deviations behind the leader at which a candidate is given up.
    """
    level = LEVEL / max(1, len(standings))
    dropped: dict[str, DropReason] = {}
    for item in standings:
        if item.candidate_id != leader_id and confidence_sequence(item.differences, level=level)[1] < 0:
            dropped[item.candidate_id] = DropReason.BEATEN
    leader_value = next((item.value for item in standings if item.candidate_id == leader_id), None)
    others = [item for item in standings if item.candidate_id not in {leader_id, *dropped}]
    ranked = sorted(others, key=lambda item: -item.value)
    for place, item in enumerate(ranked):
        behind = leader_value is not None and item.value < leader_value - patience * item.deviation
        if place >= keep or behind:
            dropped[item.candidate_id] = DropReason.UNPROMISING
    return dropped
