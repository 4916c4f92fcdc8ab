"""Means over runs of ``search_quality``, with intervals over worlds."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt
from scipy import stats
from typing_extensions import override

from benchmarks.quality_runs import USUAL, Run

_RESAMPLES = 10_000
_CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A mean, or a ratio of two, and its 95 % interval: a percentile bootstrap over worlds, None for one."""

    value: float
    interval: tuple[float, float] | None

    @override
    def __str__(self) -> str:
        """For a table."""
        if self.interval is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.interval[0]:.2f} to {self.interval[1]:.2f})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Runs that are reported together."""

    title: str
    runs: tuple[Run, ...]

    def of(self, method: str, calls: int) -> list[Run]:
        """Those of one search under one budget."""
        return [run for run in self.runs if run.method == method and run.calls == calls]

    @property
    def size(self) -> str:
        """How many worlds and seeds there are."""
        worlds = {run.case.world for run in self.runs}
        seeds = {run.case.seed for run in self.runs}
        return f"{len(worlds)} worlds x {len(seeds)} seed{'s' * (len(seeds) > 1)}"


def grouped(runs: Sequence[Run]) -> list[Group]:
    """The usual worlds together and by first prompt, and each held-out kind by itself."""
    groups = []
    for kind in dict.fromkeys(run.case.kind for run in runs):
        chosen = tuple(run for run in runs if run.case.kind == kind)
        starts = list(dict.fromkeys(run.start for run in chosen))
        title = "usual worlds" if kind == USUAL else f"held-out worlds: {kind}"
        groups.append(Group(title=title, runs=chosen))
        if kind == USUAL and len(starts) > 1:
            groups += [
                Group(
                    title=f"usual worlds, {start} first prompt",
                    runs=tuple(run for run in chosen if run.start == start),
                )
                for start in starts
            ]
    return groups


def captured(runs: Sequence[Run]) -> Figure:
    """Mean captured gain."""
    return _bootstrapped(lambda means: np.mean(means, axis=-1), _by_world(runs))


def captured_ratio(runs: Sequence[Run], others: Sequence[Run]) -> Figure:
    """Mean captured gain of ``runs`` over that of ``others``, which were made in the same worlds."""
    return _bootstrapped(
        lambda left, right: np.mean(left, axis=-1) / np.mean(right, axis=-1),
        _by_world(runs),
        _by_world(others),
    )


def worse_share(runs: Sequence[Run]) -> float:
    """Share of the runs that end with a worse prompt than they began with."""
    return fmean(run.is_worse for run in runs)


def _by_world(runs: Sequence[Run]) -> npt.NDArray[np.float64]:
    """Mean captured gain in each world, in the order of the worlds' seeds."""
    gains: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        gains[run.case.world].append(run.captured)
    return np.array([fmean(gains[world]) for world in sorted(gains)])


def _bootstrapped(
    statistic: Callable[..., npt.NDArray[np.float64]], *samples: npt.NDArray[np.float64]
) -> Figure:
    def over_axis(*values: npt.NDArray[np.float64], axis: int = -1) -> npt.NDArray[np.float64]:
        return statistic(*(np.moveaxis(value, axis, -1) for value in values))

    value = float(statistic(*samples))
    if len(samples[0]) < 2:  # noqa: PLR2004 - nothing to draw from
        return Figure(value=value, interval=None)
    found = stats.bootstrap(
        samples,
        over_axis,
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=_CONFIDENCE,
        n_resamples=_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    low, high = found.confidence_interval
    return Figure(value=value, interval=(float(low), float(high)))
