"""Scores end at 1 and 5: of what lies beyond they say only that it does.

A judge that gives mostly fives hides how much better one prompt is than another. So a score is taken as a
latent strength that is cut off at both ends (a Tobit model): an answer with a 5 teaches little about what
made it one, and a line that helps is worth most where queries are still failed.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.special import log_ndtr, ndtr

Vector: TypeAlias = NDArray[np.float64]

_LOWEST, _HIGHEST = 1.0, 5.0
_HALF, _NEAR = 0.5, 0.25
"""Scores are mostly whole: a 5, or nearly that, says that the strength lies above 4.5."""
_STEPS, _CLOSE = 20, 1e-6
_LEAST_CURVATURE = 1e-3


def expected_score(strength: Vector, deviation: float) -> Vector:
    """The mean of a score, 1..5, for a latent ``strength`` under normal noise of standard ``deviation``."""
    return _LOWEST + deviation * (
        _hinge((strength - _LOWEST) / deviation) - _hinge((strength - _HIGHEST) / deviation)
    )


def sensitivity(strength: Vector, deviation: float) -> Vector:
    """By how much the mean score grows with the latent strength, 0..1."""
    found: Vector = ndtr((strength - _LOWEST) / deviation) - ndtr((strength - _HIGHEST) / deviation)
    return found


def _hinge(x: Vector) -> Vector:
    found: Vector = x * ndtr(x) + np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    return found


def fit_censored(
    observed: Vector, expected: Vector, covariance: Vector, *, deviation: float
) -> tuple[Vector, Vector]:
    """A Gaussian process on scores, the lowest and the highest of which are censored (Laplace, by Newton).

    Args:
        observed: the scores, 1..5.
        expected: the prior means of the latent strengths.
        covariance: their prior covariance.
        deviation: standard deviation of the noise.

    Returns:
        What the prior covariance with anything is multiplied by for its posterior mean above the prior's, and
        the lower Cholesky root of the covariance with noise in it, from which posterior covariances follow.
    """
    side = np.where(observed >= _HIGHEST - _NEAR, 1.0, np.where(observed <= _LOWEST + _NEAR, -1.0, 0.0))
    bound = np.where(side > 0, _HIGHEST - _HALF, _LOWEST + _HALF)
    strength, change, explained, root = expected, np.inf, np.zeros(len(observed)), covariance
    for _ in range(_STEPS):
        if change < _CLOSE:
            break
        target, curvature = _as_observed(observed, strength, side, bound, deviation)
        noisy = covariance + np.diag(deviation**2 / curvature)
        root = cholesky(noisy, lower=True)
        half = solve_triangular(root, target - expected, lower=True)
        explained = solve_triangular(root, half, lower=True, trans="T")
        before, strength = strength, expected + covariance @ explained
        change = float(np.max(np.abs(strength - before)))
    return explained, root


def _as_observed(
    observed: Vector, strength: Vector, side: Vector, bound: Vector, deviation: float
) -> tuple[Vector, Vector]:
    """What uncensored scores would say the same near ``strength``, and how much each of them counts."""
    depth = side * (strength - bound) / deviation
    slope = np.exp(-depth * depth / 2 - log_ndtr(depth)) / np.sqrt(2 * np.pi)
    curvature = np.where(side == 0, 1.0, np.maximum(_LEAST_CURVATURE, slope * (slope + depth)))
    return np.where(side == 0, observed, strength + side * deviation * slope / curvature), curvature
