"""A line of the log for each request: numbers and names of ours, never what was asked or answered."""

import logging
import time
from typing import Final

from app.outcomes import Outcome
from app.request_reports import RequestReport
from app.telemetry.current import Fact, current_request
from app.telemetry.timing import Part, own_seconds

_LOGGER = logging.getLogger("app.requests")
_PROBES: Final = frozenset({"/livez", "/healthz", "/readyz", "/health", "/metrics"})
_PARTS: Final = {part: f"{part}_ms" for part in Part}
_USUAL: Final = vars(logging.makeLogRecord({"name": _LOGGER.name}))
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
            facts[_PARTS[part]] = _ms(seconds)
    message = f"{report.method} {report.route} {report.status} {milliseconds:.2f} ms"
    _LOGGER.handle(_line(level, message, facts))


def _line(level: int, message: str, facts: dict[str, Fact]) -> logging.LogRecord:
    """A record as logging makes them, without having it look for where in the code the line was written.

    That takes as long as writing it, and every request has one.
    """
    record = logging.LogRecord.__new__(logging.LogRecord)
    now = time.time()  # noqa: TID251 - the time of day, as logging itself notes it
    record.__dict__ = {
        **_USUAL,
        "levelno": level,
        "levelname": logging.getLevelName(level),
        "msg": message,
        "created": now,
        "msecs": now % 1 * 1000,
        FACTS: facts,
    }
    return record


def _ms(seconds: float) -> float:
    return int(seconds * 1_000_000 + 0.5) / 1000  # a fifth of what ``round`` takes
