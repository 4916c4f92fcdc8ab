"""The service with webhooks, on a fresh SQLite store."""

from collections.abc import AsyncIterator

import pytest

from tests.app.jobs.service import JobService, open_service
from tests.fakes.webhook_receiver import Receiver, receiver

SIGNING_KEY = "0123456789abcdef0123456789abcdef"
QUICK = {
    "signing_key": SIGNING_KEY,
    "private_hosts": ["127.0.0.1"],
    "first_wait_seconds": 0.01,
    "max_wait_seconds": 0.05,
    "poll_seconds": 0.02,
}


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[JobService]:
    """The application in process; receivers on loopback are allowed, and nobody waits for long."""
    async with open_service(sqlite_url, webhooks=QUICK) as opened:
        yield opened


@pytest.fixture
async def there() -> AsyncIterator[Receiver]:
    """A receiver that answers 204."""
    async with receiver() as opened:
        yield opened
