"""The service without jobs, on a fresh SQLite store."""

from collections.abc import AsyncIterator

import pytest

from tests.app.jobs.service import JobService, open_service


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[JobService]:
    """The application in process; no job runs."""
    async with open_service(sqlite_url, jobs={"max_running": 0}) as opened:
        yield opened
