"""A browser and the service."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.browser.browser import Watched, chromium, watched
from tests.browser.service import Running, running_service


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with chromium() as opened:
        yield opened


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[Running]:
    """The service without keys."""
    async with running_service(sqlite_url) as opened:
        yield opened


@pytest.fixture
async def tab(browser: Browser, service: Running) -> AsyncIterator[Watched]:
    """A page of the service."""
    async with watched(browser, service.url) as opened:
        yield opened
