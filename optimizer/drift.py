"""Whether requests fail more often than they used to: two shares compared, without a judge.

Fisher's exact test, one-sided: given how many requests failed in both periods together, the chance that so
many of them fall into the recent one. It holds for any number of requests; a normal approximation would raise
false alarms where failures are rare.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureCount:
    """Requests of a period, and how many of them failed."""

    requests: int
    failures: int

    @property
    def share(self) -> float | None:
        """The share that failed; None without requests."""
        return self.failures / self.requests if self.requests else None


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftRule:
    """What counts as drift.

    Attributes:
        min_requests: in each period; fewer say nothing.
        significance: chance of a false alarm, at most, each time that this is asked.
        least_increase: of the share; a smaller one is not worth a search, however sure.
    """

    min_requests: int = 200
    significance: float = 0.001
    least_increase: float = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftVerdict:
    """Whether there is drift, and why.

    Attributes:
        p_value: None where there were too few requests.
    """

    drifted: bool
    p_value: float | None
    reason: str


def compare(reference: FailureCount, recent: FailureCount, rule: DriftRule) -> DriftVerdict:
    """Whether ``recent`` fails more often than ``reference``."""
    before, now = reference.share, recent.share
    if before is None or now is None or min(reference.requests, recent.requests) < rule.min_requests:
        reason = (
            f"too few requests: {recent.requests} lately and {reference.requests} before; "
            f"{rule.min_requests} of each are needed"
        )
        return DriftVerdict(drifted=False, p_value=None, reason=reason)
    p_value = chance_of_more(reference, recent)
    increase = now - before
    drifted = p_value <= rule.significance and increase >= rule.least_increase
    reason = f"{now:.1%} of {recent.requests} failed lately, {before:.1%} of {reference.requests} before"
    return DriftVerdict(drifted=drifted, p_value=p_value, reason=f"{reason} (p = {p_value:.2g})")


def chance_of_more(reference: FailureCount, recent: FailureCount) -> float:
    """The one-sided p-value of Fisher's exact test that ``recent`` fails no more often than ``reference``."""
    failures = reference.failures + recent.failures
    # the hypergeometric tail: of all failures, at least so many among the recent requests
    counts = np.arange(recent.failures, min(failures, recent.requests) + 1)
    logs = (
        _log_choose(recent.requests, counts)
        + _log_choose(reference.requests, failures - counts)
        - _log_choose(recent.requests + reference.requests, np.asarray(failures))
    )
    return float(min(1.0, np.exp(logs).sum()))


def _log_choose(whole: int, part: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(gammaln(whole + 1) - gammaln(part + 1) - gammaln(whole - part + 1))
