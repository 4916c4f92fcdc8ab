"""Logging of a process: one line an event on stderr."""

import logging


def configure_logging(level: str) -> None:
    """Log from ``level`` on; libraries that are chatty about every request only from warnings on."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    for name in ("httpx", "httpx_aiohttp", "aiosqlite", "alembic", "bm25s", "openai"):
        logging.getLogger(name).setLevel(logging.WARNING)
