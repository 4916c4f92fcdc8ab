"""The service in process, on a fresh SQLite store."""

from collections.abc import AsyncIterator

import pytest

from tests.app.chat.serving import Service, open_service


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[Service]:
    """The application in process."""
    async with open_service(sqlite_url) as opened:
        yield opened
