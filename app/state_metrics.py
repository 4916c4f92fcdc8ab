"""What is shown of the state of a process and of its store: read when somebody looks."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from app import background
from app.llm.limits.limiter import BackendLimiter
from app.llm.routing.circuit import CircuitState
from app.llm.routing.routes import Route
from app.telemetry.metrics import OTHER
from app.version import VERSION
from optimizer.budget import Budget
from optimizer.types import Spend
from store.errors import StoreError
from store.records.calls import LedgerTotals
from store.repositories.call_retention import CallRetention
from store.repositories.figures import FigureRepository, StoreFigures

Labels: TypeAlias = tuple[str, ...]
T = TypeVar("T")

_LOGGER = logging.getLogger(__name__)
_STATES: Final = ("queued", "running", "paused", "succeeded", "failed", "cancelled")
_FRESH_SECONDS: Final = 5.0
_LEDGER_FRESH_SECONDS: Final = 300.0
"""What jobs that have not ended have in the ledger has to be counted row by row."""
_PATIENCE_SECONDS: Final = 2.0


class StoreWatch:
    """The store's figures, read at most every few seconds, however many look.

    Attributes:
        figures / ledger: as last read; None where that could not be read the last time.
    """

    def __init__(
        self,
        figures: FigureRepository,
        ledger: CallRetention,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read yet; ``clock`` gives monotonic seconds."""
        self._repository = figures
        self._retention = ledger
        self._clock = clock
        self._turn = asyncio.Lock()
        self._read_at = -_FRESH_SECONDS
        self._ledger_at = -_LEDGER_FRESH_SECONDS
        self.figures: StoreFigures | None = None
        self.ledger: LedgerTotals | None = None

    async def look(self) -> None:
        """Read what is too old; each of the two readings is given up after two seconds."""
        async with self._turn:
            if self._clock() - self._read_at < _FRESH_SECONDS:
                return
            self.figures = await _patiently(self._repository.read, "figures")
            self._read_at = self._clock()
            if self.figures is None:
                self.ledger, self._ledger_at = None, -_LEDGER_FRESH_SECONDS
            elif self._clock() - self._ledger_at >= _LEDGER_FRESH_SECONDS:
                self.ledger = await _patiently(self._retention.totals, "totals of the ledger")
                # a ledger that takes too long to count is not counted again at every look
                self._ledger_at = self._clock()


async def _patiently(read: Callable[[], Awaitable[T]], what: str) -> T | None:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await read()
    except (StoreError, TimeoutError) as error:
        _LOGGER.warning("the store has no %s to show now: %r", what, error)
        return None


class StateMetrics(Collector):
    """Shows limits and circuits of backends, running jobs, the store and the background."""

    def __init__(
        self,
        *,
        limiters: Mapping[str, BackendLimiter],
        routes: Sequence[Route],
        budgets: Callable[[], tuple[Budget, ...]],
        store: StoreWatch,
        dropped_rows: Callable[[], int],
    ) -> None:
        """Show it.

        Args:
            limiters: those of the backends, by name.
            routes: those of all targets.
            budgets: those of the jobs that run in this process.
            store: has looked at the store.
            dropped_rows: rows of usage that were lost for want of room.
        """
        self._limiters = limiters
        self._circuits = {
            (route.backend, route.model): route.circuit for route in routes if route.circuit is not None
        }
        self._budgets = budgets
        self._store = store
        self._dropped_rows = dropped_rows

    @override
    def collect(self) -> Iterator[Metric]:
        yield _gauge("drpo_build", "The version that runs.", [((VERSION,), 1)], "version")
        yield from self._backends()
        states = [
            ((*of, state.value), int(circuit.state is state))
            for of, circuit in self._circuits.items()
            for state in CircuitState
        ]
        yield _gauge(
            *("drpo_circuit", "1 at the state of the circuit of a backend's model.", states),
            *("backend", "model", "state"),
        )
        yield from self._jobs()
        yield from self._of_store()
        failures = CounterMetricFamily(
            "drpo_background_failures", "Failures of work in the background.", labels=["loop"]
        )
        for name, count in sorted(background.FAILURES.items()):
            failures.add_metric([name], count)
        yield failures
        yield CounterMetricFamily(
            *("drpo_usage_rows_dropped", "Rows of single requests that were lost for want of room."),
            self._dropped_rows(),
        )

    def _backends(self) -> Iterator[Metric]:
        limiters = self._limiters.items()
        yield _gauge(
            "drpo_backend_places",
            "Requests that a backend gets at once.",
            [((name,), limiter.limit) for name, limiter in limiters],
            "backend",
        )
        in_use = [((name, "jobs"), limiter.in_flight) for name, limiter in limiters]
        in_use += [((name, "users"), limiter.serving) for name, limiter in limiters]
        yield _gauge(
            *("drpo_backend_places_in_use", "Requests of this process under way.", in_use),
            *("backend", "by"),
        )
        yield _gauge(
            "drpo_backend_waiting",
            "Requests of this process that have no place yet.",
            [((name,), limiter.waiting) for name, limiter in limiters],
            "backend",
        )

    def _jobs(self) -> Iterator[Metric]:
        budgets = self._budgets()
        yield _one("drpo_jobs_running_here", "Jobs that this process works on.", len(budgets))
        totals = {
            "spent": sum((budget.spent for budget in budgets), Spend()),
            "reserved": sum((budget.reserved for budget in budgets), Spend()),
        }
        amounts = [((amount, "calls"), float(spend.calls)) for amount, spend in totals.items()]
        amounts += [((amount, "tokens"), float(spend.tokens)) for amount, spend in totals.items()]
        amounts += [((amount, "cost"), spend.cost) for amount, spend in totals.items()]
        yield _gauge(
            *("drpo_job_budget", "What the jobs of this process have spent and reserved.", amounts),
            *("amount", "of"),
        )

    def _of_store(self) -> Iterator[Metric]:
        figures, ledger = self._store.figures, self._store.ledger
        yield _one("drpo_store_up", "Whether the store could be read.", int(figures is not None))
        if figures is not None:
            jobs = [((state,), figures.jobs.get(state, 0)) for state in _STATES]
            yield _gauge("drpo_jobs", "Jobs in the store, by state.", jobs, "state")
            yield _one(
                *("drpo_queue_oldest_seconds", "Since when the first job of the queue waits."),
                figures.oldest_queued_seconds,
            )
            paused = Counter(dict.fromkeys(self._limiters, 0))
            for backend, count in figures.paused_for.items():
                paused[backend if backend in self._limiters else OTHER] += count
            yield _gauge(
                "drpo_jobs_paused_for_backend",
                "Jobs that wait for a backend.",
                [((backend,), count) for backend, count in paused.items()],
                "backend",
            )
            yield _one("drpo_store_bytes", "What the database takes.", figures.bytes)
        if ledger is not None:
            yield _one("drpo_ledger_calls", "Calls in the ledger.", ledger.calls)
            yield _one("drpo_ledger_bytes", "What they take.", ledger.bytes)


def _gauge(name: str, about: str, values: Iterable[tuple[Labels, float]], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _one(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)
