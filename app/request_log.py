"""A line of the log for each request: numbers and names of ours, never what was asked or answered."""

import logging
from typing import Final

from app.outcomes import Outcome
from app.request_reports import RequestReport
from app.telemetry.current import current_request
from app.telemetry.timing import Part, own_seconds

_LOGGER = logging.getLogger("app.requests")
_PROBES: Final = frozenset({"/livez", "/healthz", "/readyz", "/health", "/metrics"})
_PARTS: Final = {part: f"{part}_ms" for part in Part}
FACTS: Final = "facts"
"""The attribute of a log record that holds what a line says in fields of its own."""


def note_outcome(outcome: Outcome) -> None:
    """Keep what the line of the current request will say about its model."""
    request = current_request()
    if request is None or request.id != outcome.request_id:
        return
    request.facts |= {
        "caller": outcome.caller,
        "model": outcome.model,
        "backend": outcome.backend,
        "version": outcome.version_id,
        "streamed": outcome.streamed,
        "ending": outcome.ending,
        "attempts": outcome.attempts,
        "was_kept": outcome.was_kept,
        "error_code": outcome.error_code,
        "input_tokens": outcome.counted.prompt_tokens,
        "output_tokens": outcome.counted.completion_tokens,
        "cost": outcome.micros / 1_000_000,
        "first_frame_ms": None if outcome.first_seconds is None else _ms(outcome.first_seconds),
    }


def log_request(report: RequestReport) -> None:
    """Write the line of a request; that of a probe only at level DEBUG."""
    level = logging.DEBUG if report.route in _PROBES else logging.INFO
    if not _LOGGER.isEnabledFor(level):
        return
    milliseconds = _ms(report.seconds)
    facts = {
        "method": report.method,
        "route": report.route,
        "status": report.status,
        "ms": milliseconds,
        **report.request.facts,
    }
    if report.parts is not None:
        facts["overhead_ms"] = _ms(own_seconds(report.parts))
        for part, seconds in report.parts.items():
            facts[_PARTS[part]] = round(seconds * 1000, 3)
    _LOGGER.log(
        *(level, "%s %s %d %.2f ms", report.method, report.route, report.status, milliseconds),
        extra={FACTS: facts},
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
