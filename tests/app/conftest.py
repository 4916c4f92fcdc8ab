"""What tests of the service share."""

import logging
from collections.abc import Iterator

import pytest

CHATTY = ("httpx", "httpx_aiohttp", "aiosqlite", "alembic", "bm25s", "openai")


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Take back what a process does to logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in CHATTY}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
