"""What the surrogate believes: means, deviations and draws for candidates, lines and criteria."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optimizer.censored import expected_score, sensitivity

Vector: TypeAlias = NDArray[np.float64]

_INFORMED = 0.5
"""Precision that data have to add to a line before it says anything about what lines can do."""
_LINES_DIFFER = 0.3
"""Standard deviation of what different lines written for the same criterion do to it."""
_DECIMALS = 9
"""Results are rounded, so that a tie is a tie on every machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinePriors:
    """For each line: the prior of its effect on one criterion, and whether it was written for that one."""

    means: Vector
    variances: Vector
    aimed: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class CriterionPosterior:
    """One criterion. Strengths are latent: they go on where scores end (``censored``).

    Attributes:
        levels: expected strength on each query that calls for it, under a prompt that says nothing.
        shares: how much each of these queries counts in the criterion; sums to 1.
        noise: standard deviation of the noise on a score.
        means / covariance: the candidates', above the levels.
        line_means / line_variances: what each line adds.
        priors: what it was believed to add.
    """

    levels: Vector
    shares: Vector
    noise: float
    means: Vector
    covariance: Vector
    line_means: Vector
    line_variances: Vector
    priors: LinePriors

    def mean_scores(self, shifts: Vector) -> Vector:
        """The expected score, 1..5, over the queries, for each of several shifts above the levels."""
        found: Vector = self.shares @ expected_score(self.levels[:, None] + shifts, self.noise)
        return found

    def slope(self, shift: float) -> float:
        """By how much the expected score grows with the strength, 0..1: little where most scores are 5."""
        return float(self.shares @ sensitivity(self.levels + shift, self.noise))


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """How much lines written for a criterion raise its strength: a mean and how sure that is."""

    mean: float
    deviation: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Posterior:
    """The model after a fit. All candidates' expected scores are found as it is made, which takes a while.

    Attributes:
        candidates / lines: their rows.
        weights: how much each criterion counts in the mean reward; sums to 1.
        criteria: one model each.
    """

    candidates: Mapping[str, int]
    lines: Mapping[str, int]
    weights: Mapping[str, float]
    criteria: Mapping[str, CriterionPosterior]
    _scores: Mapping[str, Vector] = field(init=False, repr=False, compare=False)
    _rewards: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the expected scores."""
        known = {name: self.criteria[name] for name in self.weights}
        scores = {name: criterion.mean_scores(criterion.means) for name, criterion in known.items()}
        rewards = np.zeros(len(self.candidates))
        for name, weight in self.weights.items():
            rewards = rewards + weight * scores[name]
        object.__setattr__(self, "_scores", scores)
        object.__setattr__(self, "_rewards", tuple(round(float(reward), _DECIMALS) for reward in rewards))

    def reward(self, candidate_id: str) -> float:
        """The candidate's expected mean reward over queries like those seen, 1..5."""
        return self._rewards[self.candidates[candidate_id]]

    def criterion_means(self, candidate_id: str) -> dict[str, float]:
        """Its expected score on each criterion, 1..5."""
        row = self.candidates[candidate_id]
        return {name: float(scores[row]) for name, scores in self._scores.items()}

    def gain(self, candidate_id: str, criterion: str, rise: float) -> float:
        """What the candidate's reward would gain from ``rise`` more strength on ``criterion``."""
        known = self.criteria[criterion]
        own = known.means[self.candidates[candidate_id]]
        before, after = known.mean_scores(np.array([own, own + rise]))
        return round(self.weights[criterion] * float(after - before), _DECIMALS)

    def deviation(self, candidate_id: str, other_id: str) -> float:
        """How unsure the difference of their rewards is: its posterior standard deviation, to first order."""
        row, other = self.candidates[candidate_id], self.candidates[other_id]
        variance = 0.0
        for name, weight in self.weights.items():
            known = self.criteria[name]
            spread, slope = known.covariance, known.slope(float(known.means[other]))
            own = float(spread[row, row] + spread[other, other] - 2 * spread[row, other])
            variance += (weight * slope) ** 2 * max(0.0, own)
        return round(float(np.sqrt(variance)), _DECIMALS)

    def line_effects(self, rng: np.random.Generator | None) -> Mapping[str, Vector]:
        """What each line does to each criterion: the mean, or a draw from the posterior by ``rng``.

        Draws of different lines are independent, which overstates how unsure their sums are.
        """
        effects = {}
        for name in self.weights:
            known = self.criteria[name]
            drawn = known.line_means
            if rng is not None:
                deviations = np.sqrt(np.maximum(known.line_variances, 0.0))
                drawn = drawn + rng.standard_normal(len(deviations)) * deviations
            effects[name] = np.round(drawn, _DECIMALS)
        return effects

    def response(self, criterion: str, *, expected: float, deviation: float) -> Response:
        """How much lines written for ``criterion`` have raised it, starting from a prior of these moments.

        A criterion to which the target turns out to be deaf is so found out.
        """
        known = self.criteria[criterion]
        precision, weighted = 1 / deviation**2, expected / deviation**2
        for line in np.flatnonzero(known.priors.aimed):
            before, after = float(known.priors.variances[line]), max(float(known.line_variances[line]), 1e-9)
            learned = 1 / after - 1 / before
            if learned > _INFORMED:
                seen = (
                    float(known.line_means[line]) / after - float(known.priors.means[line]) / before
                ) / learned
                share = 1 / (1 / learned + _LINES_DIFFER**2)
                precision, weighted = precision + share, weighted + share * seen
        return Response(
            mean=round(weighted / precision, _DECIMALS), deviation=round(precision**-0.5, _DECIMALS)
        )
