"""Logging of a process: one line an event, with the request or the job that it belongs to, and no secret."""

import datetime as dt
import logging
import re
import sys
from typing import Final

import orjson
from typing_extensions import override

from app.log_writer import LineWriter
from app.observability_settings import LoggingSettings
from app.telemetry.current import current_job, current_request

_CHATTY: Final = (
    "httpx",
    "httpx_aiohttp",
    "aiosqlite",
    "alembic",
    "bm25s",
    "openai",
    "opentelemetry",
    "urllib3",
)
_SECRETS: Final = re.compile(
    r"""
    (?P<before> ://[^/@\s:]*: ) [^@\s/"]+ (?=@)                  # a password in a URL
    | (?P<scheme> \b(?:bearer|basic)\s+ ) [\w.~+/=-]{8,}       # a credential in a header
    | (?P<name> \b(?:sk-|drpo_[0-9a-f]{12}_) ) [\w-]{8,}       # a key by its beginning
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_MARKS: Final = ("://", "bearer", "basic", "sk-", "drpo_")
"""Of which each secret has one."""
_HIDDEN: Final = "***"


def without_secrets(text: str) -> str:
    """``text`` in which passwords of URLs, credentials of headers and API keys are hidden."""
    lowered = text.lower()
    if not any(map(lowered.__contains__, _MARKS)):  # nearly always; the pattern takes longer
        return text
    return _SECRETS.sub(_hide, text)


def _hide(found: "re.Match[str]") -> str:
    return (found["before"] or found["scheme"] or found["name"]) + _HIDDEN


class TextFormatter(logging.Formatter):
    """Lines for people."""

    def __init__(self) -> None:
        """Time, level, logger, message, and whom the line belongs to."""
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    @override
    def format(self, record: logging.LogRecord) -> str:
        text = without_secrets(super().format(record))
        belongs = " ".join(f"{name}={value}" for name, value in _whose().items())
        return f"{text} [{belongs}]" if belongs else text


class JsonFormatter(logging.Formatter):
    """One JSON object a line.

    Its fields: ``time`` (UTC), ``level``, ``logger``, ``message``; ``request_id``, ``trace_id``, ``job_id``
    where there is one; ``exception``; and the facts of lines that have some.
    """

    def __init__(self) -> None:
        """One for any lines."""
        super().__init__()
        self._second = 0
        self._second_text = ""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": self._time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            **_whose(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = without_secrets(self.formatException(record.exc_info))
        # in JSON no line break is left that could begin another line
        return orjson.dumps(line, default=str).decode()

    def _time(self, created: float) -> str:
        """``created`` to the millisecond; most lines share their second with the one before."""
        second, milliseconds = divmod(int(created * 1000), 1000)
        if second != self._second:
            time = dt.datetime.fromtimestamp(second, dt.UTC)
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_text}.{milliseconds:03d}+00:00"


def _whose() -> dict[str, str]:
    request, job = current_request(), current_job()
    belongs = {} if request is None else {"request_id": request.id}
    if request is not None and request.trace_id is not None:
        belongs["trace_id"] = request.trace_id
    if job is not None:
        belongs["job_id"] = job
    return belongs


def configure_logging(settings: LoggingSettings) -> None:
    """Log as ``settings`` say; libraries that are chatty about every request only from warnings on."""
    is_text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    writer = LineWriter(sys.stderr if is_text else sys.stdout)
    writer.setFormatter(TextFormatter() if is_text else JsonFormatter())
    _install(writer, settings.level)


def log_for_command(*, only_errors_of: tuple[str, ...] = ()) -> None:
    """Log from warnings on, on stderr: stdout belongs to what a command prints.

    Of the loggers ``only_errors_of`` nothing less than an error is shown.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter())
    _install(handler, "WARNING")
    for name in only_errors_of:
        logging.getLogger(name).setLevel(logging.ERROR)


def _install(handler: logging.Handler, level: str) -> None:
    # what our lines do not show is not looked up for each of them, as the library's manual advises
    logging._srcfile = None  # noqa: SLF001 - as it says
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _CHATTY:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        # a library may set its logger's level when it is loaded, which may be later than this
        logger.addFilter(_is_a_warning)


def _is_a_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
