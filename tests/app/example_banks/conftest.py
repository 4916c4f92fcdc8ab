"""The service on a fresh SQLite store, with and without jobs that run."""

from collections.abc import AsyncIterator

import pytest

from tests.app.jobs.service import JobService, open_service


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[JobService]:
    """The application in process; jobs run."""
    async with open_service(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def idle(sqlite_url: str) -> AsyncIterator[JobService]:
    """The application in process; jobs wait."""
    async with open_service(sqlite_url, jobs={"max_running": 0}) as opened:
        yield opened
