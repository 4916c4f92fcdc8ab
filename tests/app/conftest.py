"""What tests of the service share."""

import logging
from collections.abc import Iterator
from typing import NamedTuple

import pytest

CHATTY = ("httpx", "httpx_aiohttp", "aiosqlite", "alembic", "bm25s", "openai", "opentelemetry", "urllib3")


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Take back what a process does to logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in CHATTY}
    filters = {name: logging.getLogger(name).filters[:] for name in CHATTY}
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
        logging.getLogger(name).filters[:] = filters[name]


class Printed(NamedTuple):
    """What was printed."""

    out: str
    err: str


def written(capsys: pytest.CaptureFixture[str]) -> Printed:
    """What was logged on stdout and on stderr since the last time."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    return Printed(*capsys.readouterr())
