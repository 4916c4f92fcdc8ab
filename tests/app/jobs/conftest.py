"""The service with jobs that run, on a fresh SQLite store."""

from collections.abc import AsyncIterator

import pytest

from tests.app.jobs.service import JobService, open_service


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[JobService]:
    """The application in process."""
    async with open_service(sqlite_url) as opened:
        yield opened
