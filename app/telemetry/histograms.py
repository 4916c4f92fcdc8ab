"""Histograms that cost next to nothing: of every request a dozen values are noted.

The library's own take a lock, and look through their buckets one by one, for each value. Those here belong to
one thread, and are read by the library's collectors when somebody looks.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from typing_extensions import override

_NO_LABELS: Final = ()


class Series:
    """The values of one combination of labels."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Nothing yet; ``bounds`` are the upper ends of all buckets but the last."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Note ``value``, in the unit of the histogram's name."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Say what was noted, under ``labels``."""
        ends = [*map(floatToGoString, self._bounds), "+Inf"]
        family.add_metric(labels, list(zip(ends, accumulate(self._counts), strict=True)), self._sum)


class Histogram(Collector):
    """Values by labels and size."""

    def __init__(self, name: str, about: str, buckets: Iterable[float], labels: Sequence[str] = ()) -> None:
        """Nothing yet; ``buckets`` are upper ends that grow, to which infinity is added."""
        self._name = name
        self._about = about
        self._labels = tuple(labels)
        self._bounds = tuple(buckets)
        self._series: dict[tuple[str, ...], Series] = {}
        if not labels:
            self.labels()

    def labels(self, *values: str) -> Series:
        """The values under these labels.

        Raises:
            ValueError: there are not as many as the histogram has.
        """
        if len(values) != len(self._labels):
            raise ValueError(f"{self._name} has the labels {self._labels}, not {values}")
        found = self._series.get(values)
        if found is None:
            found = self._series[values] = Series(self._bounds)
        return found

    def observe(self, value: float) -> None:
        """Note a value of a histogram without labels; see ``Series``."""
        self._series[_NO_LABELS].observe(value)

    @override
    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        for labels, series in self._series.items():
            series.add_to(family, labels)
        return [family]

    def describe(self) -> Iterable[Metric]:
        """What ``collect`` will give, without its values: its names are then taken."""
        return [HistogramMetricFamily(self._name, self._about, labels=self._labels)]
