"""Counters and histograms that cost next to nothing: of every request two dozen values are noted.

The library's own take a lock for each value, and look through a histogram's buckets one by one. Those here
belong to one thread, and are read by the library when somebody looks.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from typing_extensions import override

_NO_LABELS: Final = ()


class Count:
    """How often, or how much, under one combination of labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        """Nothing yet."""
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add ``amount``, at least 0."""
        self.value += amount


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


SeriesT = TypeVar("SeriesT", Count, Series)


class _Labelled(Collector, Generic[SeriesT]):
    """What is noted by labels."""

    def __init__(self, name: str, about: str, labels: Sequence[str]) -> None:
        self._name = name
        self._about = about
        self._labels = tuple(labels)
        self._series: dict[tuple[str, ...], SeriesT] = {}
        if not labels:
            self.labels()

    def labels(self, *values: str) -> SeriesT:
        """What is noted under these labels.

        Raises:
            ValueError: there are not as many as it has.
        """
        if len(values) != len(self._labels):
            raise ValueError(f"{self._name} has the labels {self._labels}, not {values}")
        found = self._series.get(values)
        if found is None:
            found = self._series[values] = self._new()
        return found

    def _new(self) -> SeriesT:
        raise NotImplementedError

    def describe(self) -> Iterable[Metric]:
        """What ``collect`` will give, without its values: its names are then taken."""
        raise NotImplementedError


class Counter(_Labelled[Count]):
    """Something that only grows; ``_total`` is added to its name."""

    def __init__(self, name: str, about: str, labels: Sequence[str] = ()) -> None:
        """Nothing yet."""
        super().__init__(name, about, labels)

    def inc(self, amount: float = 1.0) -> None:
        """Add to a counter without labels; see ``Count``."""
        self._series[_NO_LABELS].inc(amount)

    @override
    def _new(self) -> Count:
        return Count()

    @override
    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for labels, count in self._series.items():
            family.add_metric(labels, count.value)
        return [family]

    @override
    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self._name, self._about, labels=self._labels)


class Histogram(_Labelled[Series]):
    """Values by size."""

    def __init__(self, name: str, about: str, buckets: Iterable[float], labels: Sequence[str] = ()) -> None:
        """Nothing yet; ``buckets`` are upper ends that grow, to which infinity is added."""
        self._bounds = tuple(buckets)
        super().__init__(name, about, labels)

    def observe(self, value: float) -> None:
        """Note a value of a histogram without labels; see ``Series``."""
        self._series[_NO_LABELS].observe(value)

    @override
    def _new(self) -> Series:
        return Series(self._bounds)

    @override
    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for labels, series in self._series.items():
            series.add_to(family, labels)
        return [family]

    @override
    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._about, labels=self._labels)
