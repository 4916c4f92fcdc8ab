"""Counters and histograms that cost next to nothing: of every request two dozen values are noted.

The library's own take a lock for each value, and look through a histogram's buckets one by one. Those here
belong to one thread, and are read by the library when somebody looks.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from typing_extensions import override


class Count:
    """How often, or how much, under one combination of labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        """Nothing yet."""
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add ``amount``, at least 0."""
        self.value += amount

    def add_to(self, family: CounterMetricFamily, labels: Sequence[str]) -> None:
        """Say what was noted, under ``labels``."""
        family.add_metric(labels, self.value)


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


SeriesT = TypeVar("SeriesT")
FamilyT = TypeVar("FamilyT", bound=Metric)


class Labelled(Collector, Generic[SeriesT, FamilyT]):
    """What is noted by labels."""

    def __init__(
        self,
        labels: Sequence[str],
        *,
        new: Callable[[], SeriesT],
        family: Callable[[], FamilyT],
        add: Callable[[SeriesT, FamilyT, Sequence[str]], None],
    ) -> None:
        """Nothing yet.

        Args:
            labels: their names.
            new: makes what is noted under one combination of labels.
            family: makes the library's form of all, still empty.
            add: says in it what was noted under some labels.
        """
        self._labels = tuple(labels)
        self._new = new
        self._family = family
        self._add = add
        self._series: dict[tuple[str, ...], SeriesT] = {}
        if not labels:
            self.labels()

    def labels(self, *values: str) -> SeriesT:
        """What is noted under these labels.

        Raises:
            ValueError: there are not as many as it has.
        """
        if len(values) != len(self._labels):
            raise ValueError(f"there are the labels {self._labels}, not {values}")
        found = self._series.get(values)
        if found is None:
            found = self._series[values] = self._new()
        return found

    @override
    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for labels, series in self._series.items():
            self._add(series, family, labels)
        return [family]

    def describe(self) -> Iterable[Metric]:
        """What ``collect`` will give, without its values: its names are then taken."""
        return [self._family()]


class Counter(Labelled[Count, CounterMetricFamily]):
    """Something that only grows; ``_total`` is added to its name."""

    def __init__(self, name: str, about: str, labels: Sequence[str] = ()) -> None:
        """Nothing yet."""
        family = partial(CounterMetricFamily, name, about, labels=labels)
        super().__init__(labels, new=Count, family=family, add=Count.add_to)

    def inc(self, amount: float = 1.0) -> None:
        """Add to a counter without labels; see ``Count``."""
        self.labels().inc(amount)


class Histogram(Labelled[Series, HistogramMetricFamily]):
    """Values by size."""

    def __init__(self, name: str, about: str, buckets: Iterable[float], labels: Sequence[str] = ()) -> None:
        """Nothing yet; ``buckets`` are upper ends that grow, to which infinity is added."""
        family = partial(HistogramMetricFamily, name, about, labels=labels)
        super().__init__(labels, new=partial(Series, tuple(buckets)), family=family, add=Series.add_to)

    def observe(self, value: float) -> None:
        """Note a value of a histogram without labels; see ``Series``."""
        self.labels().observe(value)
