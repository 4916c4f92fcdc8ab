"""What a process opens to be seen: its metrics, and who hears how requests end."""

from typing import TYPE_CHECKING

from app.access.usage_recorder import UsageRecorder
from app.jobs.local import LocalRunner
from app.llm.opened_backend import CallObservers, CallTracing
from app.llm.registry import ModelRegistry
from app.observability_settings import ObservabilitySettings
from app.outcomes import OutcomeFeed
from app.request_log import log_request, note_outcome
from app.request_metrics import HttpMetrics, ModelRequestMetrics
from app.request_reports import RequestReports
from app.settings import Settings
from app.state_metrics import StateMetrics, StoreWatch
from app.telemetry.metrics import Metrics
from app.telemetry.model_calls import ModelCallMetrics
from store.connections import Database
from store.repositories.call_retention import CallRetention
from store.repositories.figures import FigureRepository

if TYPE_CHECKING:
    from app.telemetry.tracing import Tracing


class Observation:
    """How the process is seen.

    Attributes:
        reports: hear how HTTP requests end.
        metrics: what is counted; None where nothing is.
        calls: who counts and traces the calls of models.
        tracing: where spans go; None where nothing is traced.
    """

    def __init__(self, settings: Settings) -> None:
        """By ``settings``; nothing is watched yet."""
        self._logs_requests = settings.logging.requests
        self.reports = RequestReports()
        self.metrics = Metrics() if settings.observability.metrics else None
        self._store: StoreWatch | None = None
        if self.metrics is not None:
            self.reports.listen(HttpMetrics(self.metrics).hear)
        if self._logs_requests:
            self.reports.listen(log_request)
        self.tracing: Tracing | None = None
        traces: CallTracing | None = None
        if settings.observability.traces_endpoint is not None:
            self.tracing, traces = _open_tracing(settings.observability)
        counts = None if self.metrics is None else ModelCallMetrics(self.metrics)
        self.calls = CallObservers(watch=counts, tracing=traces)

    async def aclose(self) -> None:
        """Send the spans that are left."""
        if self.tracing is not None:
            await self.tracing.aclose()

    def watch(
        self,
        database: Database,
        models: ModelRegistry,
        outcomes: OutcomeFeed,
        *,
        runner: LocalRunner,
        usage: UsageRecorder,
    ) -> None:
        """Begin to watch what is open by now. Once.

        Args:
            database: its figures are shown.
            models: those that are counted by name, and their backends.
            outcomes: how requests for models end.
            runner: runs the jobs of this process.
            usage: records what requests use.
        """
        if self._logs_requests or self.tracing is not None:
            outcomes.listen(note_outcome)
        if self.metrics is None:
            return
        names = (*models.target_names(), *models.embedder_names())
        outcomes.listen(ModelRequestMetrics(self.metrics, names).hear)
        self._store = StoreWatch(FigureRepository(database), CallRetention(database))
        self.metrics.ask(
            StateMetrics(
                limiters=models.limiters(),
                routes=[route for name in models.target_names() for route in models.routes(name)],
                budgets=runner.budgets,
                store=self._store,
                dropped_rows=lambda: usage.dropped,
            )
        )

    async def show(self, accept: str) -> tuple[bytes, str] | None:
        """All metrics as text and its media type, by the header ``accept``; None where nothing is counted."""
        if self.metrics is None or self._store is None:
            return None
        await self._store.look()
        return self.metrics.text(accept)


def _open_tracing(settings: ObservabilitySettings) -> "tuple[Tracing, CallTracing]":
    # OpenTelemetry takes its time to load, which whoever traces nothing should not have to wait for
    from app.llm.tracing import Traces  # noqa: PLC0415
    from app.telemetry import tracing  # noqa: PLC0415

    options = tracing.TracingOptions(
        share=settings.traces_share,
        calls=settings.traced_calls,
        records_content=settings.record_content,
    )
    opened = tracing.Tracing(tracing.otlp_exporter(str(settings.traces_endpoint)), options)
    return opened, Traces(opened)
