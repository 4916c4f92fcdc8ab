"""The service in process, on a fresh SQLite store."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.app.chat.serving import Listening, Service, open_service, serve_service


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[Service]:
    """The application in process."""
    async with open_service(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def listening(sqlite_url: str) -> AsyncIterator[Listening]:
    """The application behind a socket."""
    async with serve_service(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def client(listening: Listening) -> AsyncIterator[httpx.AsyncClient]:
    """A client of ``listening``."""
    async with httpx.AsyncClient(base_url=listening.url, trust_env=False, timeout=20) as opened:
        yield opened
