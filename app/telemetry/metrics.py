"""The registry of an application's metrics.

Each application has one of its own, so that several can live in one process. Labels hold names of the
settings and words of ours only, never what a caller has written.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from app.telemetry.instruments import Counter, Histogram

OTHER: Final = "other"
"""The label of whatever is not configured."""
SECONDS: Final = tuple(0.01 * 2**power for power in range(14))
"""Buckets of OpenTelemetry's GenAI conventions: 0.01 s doubling to 81.92 s."""
SHORT_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Buckets for what should take next to nothing."""
TOKEN_SECONDS: Final = tuple(0.001 * 2**power for power in range(12))
"""Buckets for the time that a token takes."""


class Metrics:
    """Everything that is counted here."""

    def __init__(self) -> None:
        """Nothing yet but the memory, the CPU time and the files of the process."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    def counter(self, name: str, about: str, *labels: str) -> Counter:
        """A new counter; ``_total`` is added to its name."""
        made = Counter(name, about, labels)
        self._registry.register(made)
        return made

    def histogram(self, name: str, about: str, buckets: Iterable[float], *labels: str) -> Histogram:
        """A new histogram with ``buckets``, in the unit that its name ends with."""
        made = Histogram(name, about, buckets, labels)
        self._registry.register(made)
        return made

    def ask(self, collector: Collector) -> None:
        """Ask ``collector`` for its metrics whenever somebody looks."""
        self._registry.register(collector)

    def text(self, accept: str) -> tuple[bytes, str]:
        """All metrics, and their media type: of those that the header ``accept`` names one that we write."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type
