"""What is counted of requests: over HTTP, and those that models answer."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from app.outcomes import Outcome
from app.request_reports import RequestReport
from app.telemetry.instruments import Count, Series
from app.telemetry.metrics import OTHER, SECONDS, SHORT_SECONDS, TOKEN_SECONDS, Metrics
from app.telemetry.timing import Part, own_seconds

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_MICROS: Final = 1_000_000


class HttpMetrics:
    """Counts HTTP requests, and times those to models up to the beginning of their answers."""

    def __init__(self, metrics: Metrics) -> None:
        """Count in ``metrics``."""
        self._requests = metrics.counter("drpo_http_requests", "HTTP requests.", "method", "route", "status")
        self._seconds = metrics.histogram(
            "drpo_http_request_seconds", "From a request to the end of its answer.", SECONDS, "route"
        )
        self._own = metrics.histogram(
            "drpo_overhead_seconds",
            "Our own part of the time from a request for a model to the beginning of its answer.",
            SHORT_SECONDS,
        )
        parts = metrics.histogram(
            "drpo_request_part_seconds",
            "Where the time from a request for a model to the beginning of its answer went.",
            (*SHORT_SECONDS, *(2.5 * 2**power for power in range(6))),
            "part",
        )
        self._parts: dict[Part, Series] = {
            part: parts.labels(part.value) for part in Part if part is not Part.CLIENT
        }
        self._series: dict[tuple[str, str, int], tuple[Count, Series]] = {}

    def hear(self, report: RequestReport) -> None:
        """Count one request."""
        key = (report.method, report.route, report.status)
        series = self._series.get(key)
        if series is None:
            method = report.method if report.method in _METHODS else OTHER
            series = (
                self._requests.labels(method, report.route, str(report.status)),
                self._seconds.labels(report.route),
            )
            if method != OTHER:  # a caller must not be able to fill the memory
                self._series[key] = series
        requests, seconds = series
        requests.inc()
        seconds.observe(report.seconds)
        if report.parts is not None:
            self._own.observe(own_seconds(report.parts))
            for part, taken in report.parts.items():
                self._parts[part].observe(taken)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Series:
    """What requests are counted in that have all names in common: looking labels up takes longer."""

    requests: Count
    attempts: Count
    kept: Count
    seconds: Series
    input_tokens: Count
    output_tokens: Count
    cost: Count


class ModelRequestMetrics:
    """Counts how requests for models end."""

    def __init__(self, metrics: Metrics, models: Collection[str]) -> None:
        """Count in ``metrics``; of the names of ``models`` only."""
        self._models = frozenset(models)
        self._requests = metrics.counter(
            "drpo_requests",
            "Requests that were passed to a model, by how they ended.",
            *("endpoint", "model", "backend", "streamed", "ending"),
        )
        self._attempts = metrics.counter(
            "drpo_request_attempts", "Requests to backends that were made for them.", "model"
        )
        self._kept = metrics.counter(
            "drpo_kept_answers", "Requests that were given an answer that had been kept.", "model"
        )
        self._failures = metrics.counter(
            "drpo_request_failures", "Requests to models that failed.", "model", "backend", "code"
        )
        self._aborts = metrics.counter(
            "drpo_stream_aborts", "Streams that did not come to their end.", "model", "backend", "ending"
        )
        self._seconds = metrics.histogram(
            *("drpo_request_seconds", "From a request for a model to the end of its answer.", SECONDS),
            *("endpoint", "model"),
        )
        self._first = metrics.histogram(
            *("drpo_time_to_first_frame_seconds", "From a request to its stream's first frame.", SECONDS),
            "model",
        )
        self._per_token = metrics.histogram(
            "drpo_time_per_output_token_seconds",
            "Time of a stream after its first frame, divided by its tokens.",
            *(TOKEN_SECONDS, "model"),
        )
        self._tokens = metrics.counter(
            "drpo_tokens", "Tokens of requests for models; some are estimates.", "model", "backend", "kind"
        )
        self._cost = metrics.counter(
            "drpo_cost", "What they cost, in the currency of the settings' prices.", "model", "backend"
        )
        self._series: dict[tuple[str, str, str, bool, str], _Series] = {}

    def hear(self, outcome: Outcome) -> None:
        """Count one request."""
        model = outcome.model if outcome.model in self._models else OTHER
        backend, ending = outcome.backend, outcome.ending
        series = self._series_of(outcome, model)
        series.requests.inc()
        series.attempts.inc(outcome.attempts)
        if outcome.was_kept:
            series.kept.inc()
        series.seconds.observe(outcome.seconds)
        series.input_tokens.inc(outcome.counted.prompt_tokens)
        series.output_tokens.inc(outcome.counted.completion_tokens)
        if outcome.micros:
            series.cost.inc(outcome.micros / _MICROS)
        if ending == "failed":
            self._failures.labels(model, backend, outcome.error_code or "internal_error").inc()
        if outcome.streamed and ending != "answered":
            self._aborts.labels(model, backend, ending).inc()
        if outcome.streamed and outcome.first_seconds is not None:
            self._first.labels(model).observe(outcome.first_seconds)
            if ending == "answered" and outcome.counted.completion_tokens > 1:
                rest = outcome.seconds - outcome.first_seconds
                self._per_token.labels(model).observe(rest / (outcome.counted.completion_tokens - 1))

    def _series_of(self, outcome: Outcome, model: str) -> _Series:
        endpoint, backend = outcome.endpoint, outcome.backend
        key = (endpoint, model, backend, outcome.streamed, outcome.ending)
        series = self._series.get(key)
        if series is None:
            streamed = "true" if outcome.streamed else "false"
            series = self._series[key] = _Series(
                requests=self._requests.labels(endpoint, model, backend, streamed, outcome.ending),
                attempts=self._attempts.labels(model),
                kept=self._kept.labels(model),
                seconds=self._seconds.labels(endpoint, model),
                input_tokens=self._tokens.labels(model, backend, "input"),
                output_tokens=self._tokens.labels(model, backend, "output"),
                cost=self._cost.labels(model, backend),
            )
        return series
