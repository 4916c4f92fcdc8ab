"""What all evaluations together say about each candidate: a linear model of a prompt's instructions.

Candidates share instructions, and each evaluation scores several criteria. So the strength on a criterion is
taken as the criterion's level, plus what each line of the prompt does to it, plus what is peculiar to the
candidate and to the query, plus noise, and the score as that, cut off at 1 and 5 (``censored``): a Gaussian
model for each criterion. Its means are shrunk, so that the best of many candidates is not merely the luckiest
one, and every evaluation of a prompt teaches something about all that share a line with it (the idea of
component-wise edits: SPRIG, arXiv 2410.14826; of a surrogate over prompts: HbBoPs, ICML 2025).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from optimizer.bearing import Bearing
from optimizer.censored import fit_censored
from optimizer.posterior import CriterionPosterior, LinePriors, Posterior

Vector: TypeAlias = NDArray[np.float64]

_FEW_QUERIES = 8
"""With fewer queries than this a criterion counts as soon as one of them calls for it, else from two on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SurrogatePrior:
    """What is believed before anything is seen; all in strength, on the scale of the scores.

    Attributes:
        aimed_mean / aimed_deviation: of what a new line does to a criterion that it was written for, or is
            said to raise; the opposite for one that it is said to lower.
        other_mean / other_deviation: of what it does to any other criterion.
        seed_mean / seed_deviation: of what a line of the seed prompt does: somebody wrote it for a reason.
        candidate_deviation: of what no line of a candidate explains.
        query_deviation: of how hard queries are.
        noise_deviation: of the judge and of an answer's wording.
        level / level_deviation: of a criterion's scores in all.
    """

    aimed_mean: float = 0.25
    aimed_deviation: float = 0.6
    other_mean: float = -0.02
    other_deviation: float = 0.12
    seed_mean: float = 0.03
    seed_deviation: float = 0.12
    candidate_deviation: float = 0.15
    query_deviation: float = 0.8
    noise_deviation: float = 0.8
    level: float = 3.5
    level_deviation: float = 2.0


@dataclass(frozen=True, slots=True)
class _Score:
    candidate: int
    query: int
    score: float


class Surrogate:
    """Collects candidates and scores; ``fit`` says what they mean."""

    def __init__(self, prior: SurrogatePrior) -> None:
        """An empty model."""
        self._prior = prior
        self._lines: dict[str, int] = {}
        self._aims: list[frozenset[str] | None] = []
        self._lowers: dict[int, frozenset[str]] = {}
        self._candidates: dict[str, tuple[int, ...]] = {}
        self._queries: dict[str, int] = {}
        self._scores: defaultdict[str, list[_Score]] = defaultdict(list)
        self._shares: dict[str, dict[str, float]] = {}

    def add(self, candidate_id: str, features: Sequence[str], aims: frozenset[str] | None) -> None:
        """A candidate made of ``features``; those not seen before were written for ``aims``.

        ``aims`` is None for the seed prompt, whose lines nobody wrote for anything in particular.
        """
        for line in features:
            if line not in self._lines:
                self._lines[line] = len(self._lines)
                self._aims.append(aims)
        self._candidates[candidate_id] = tuple(sorted({self._lines[line] for line in features}))

    def describe(self, line: str, bearing: Bearing) -> None:
        """What ``line`` of some candidate is about, whatever it was written for.

        Raises:
            KeyError: no candidate has this line.
        """
        row = self._lines[line]
        self._aims[row] = bearing.raises
        self._lowers[row] = bearing.lowers

    def observe(
        self, candidate_id: str, query_id: str, scores: Mapping[str, float], weights: Mapping[str, float]
    ) -> None:
        """An evaluation: the scores on its criteria, and how much each counts in the reward."""
        candidate = list(self._candidates).index(candidate_id)
        query = self._queries.setdefault(query_id, len(self._queries))
        for criterion, score in scores.items():
            self._scores[criterion].append(_Score(candidate, query, score))
        total = sum(weights.values())
        if total > 0:
            self._shares[query_id] = {name: weight / total for name, weight in weights.items() if weight > 0}

    def fit(self) -> Posterior:
        """What is known now. Takes milliseconds for hundreds of evaluations, seconds for thousands.

        Raises:
            ValueError: nothing has been observed.
        """
        if not self._shares:
            raise ValueError("nothing has been observed")
        membership = np.zeros((len(self._candidates), len(self._lines)))
        for row, lines in enumerate(self._candidates.values()):
            membership[row, list(lines)] = 1.0
        weights = self._criterion_weights()
        return Posterior(
            candidates={name: row for row, name in enumerate(self._candidates)},
            lines=dict(self._lines),
            weights=weights,
            criteria={name: self._fit_criterion(name, membership) for name in weights},
        )

    def _criterion_weights(self) -> dict[str, float]:
        """How much each criterion counts in the mean reward over queries like those seen; sums to 1."""
        queries: defaultdict[str, int] = defaultdict(int)
        totals: defaultdict[str, float] = defaultdict(float)
        for shares in self._shares.values():
            for name, share in shares.items():
                queries[name] += 1
                totals[name] += share
        least = 1 if len(self._shares) < _FEW_QUERIES else 2
        kept = {name: totals[name] for name in sorted(totals) if queries[name] >= least} or dict(totals)
        whole = sum(kept.values())
        return {name: total / whole for name, total in kept.items()}

    def _fit_criterion(self, criterion: str, membership: Vector) -> CriterionPosterior:
        prior, scores = self._prior, self._scores[criterion]
        rows = np.array([item.candidate for item in scores])
        queries = np.array([item.query for item in scores])
        lines = self._line_priors(criterion)
        seen = membership[rows] * lines.variances
        own = prior.candidate_deviation**2
        covariance = seen @ membership[rows].T + own * (rows[:, None] == rows)
        covariance += prior.query_deviation**2 * (queries[:, None] == queries) + prior.level_deviation**2
        expected = prior.level + membership[rows] @ lines.means
        observed = np.array([item.score for item in scores])
        explained, root = fit_censored(observed, expected, covariance, deviation=prior.noise_deviation)
        cross = (membership * lines.variances) @ membership[rows].T
        cross += own * (np.arange(len(membership))[:, None] == rows)
        spread = solve_triangular(root, cross.T, lower=True)
        own_part = own * np.eye(len(membership))
        levels, shares = self._levels(criterion, queries, explained)
        return CriterionPosterior(
            levels=levels,
            shares=shares,
            noise=prior.noise_deviation,
            means=membership @ lines.means + cross @ explained,
            covariance=(membership * lines.variances) @ membership.T + own_part - spread.T @ spread,
            line_means=lines.means + lines.variances * (membership[rows].T @ explained),
            line_variances=lines.variances - (solve_triangular(root, seen, lower=True) ** 2).sum(axis=0),
            priors=lines,
        )

    def _levels(self, criterion: str, queries: NDArray[np.intp], explained: Vector) -> tuple[Vector, Vector]:
        """The strength on each query that calls for ``criterion``, and how much the query counts in it."""
        prior = self._prior
        called = {
            number: self._shares[name][criterion]
            for name, number in self._queries.items()
            if criterion in self._shares.get(name, {})
        }
        level = prior.level + prior.level_deviation**2 * explained.sum()
        own = np.array([explained[queries == number].sum() for number in called])
        shares = np.array(list(called.values()))
        return level + prior.query_deviation**2 * own, shares / shares.sum()

    def _line_priors(self, criterion: str) -> LinePriors:
        prior = self._prior
        aimed = np.array([aims is not None and criterion in aims for aims in self._aims])
        seeded = np.array([aims is None for aims in self._aims])
        against = np.array([criterion in self._lowers.get(row, ()) for row in range(len(self._aims))])
        means = np.where(aimed, prior.aimed_mean, np.where(seeded, prior.seed_mean, prior.other_mean))
        means = np.where(against, -prior.aimed_mean, means)
        others = np.where(seeded, prior.seed_deviation, prior.other_deviation)
        deviations = np.where(aimed | against, prior.aimed_deviation, others)
        return LinePriors(means=means, variances=deviations**2, aimed=aimed)
