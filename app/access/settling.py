"""Work that is done now and then in the background, and never cut off in the middle of a transaction."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from app.access.quotas import Quotas
from store.errors import StoreUnavailableError

_LOGGER = logging.getLogger(__name__)


async def repeated(
    work: Callable[[], Coroutine[Any, Any, None]], *, seconds: float, stopped: asyncio.Event, complaint: str
) -> None:
    """Do ``work`` every so many seconds until ``stopped``, and let it end.

    Whether a write that is cancelled was committed nobody knows, so it could be done twice.

    Args:
        work: what to do.
        seconds: how long to wait before it is done, each time.
        stopped: ends the waiting.
        complaint: what is logged while the database is away.
    """
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stopped.wait()
        if stopped.is_set():
            return
        try:
            await work()
        except StoreUnavailableError as error:
            _LOGGER.warning("%s: %s", complaint, error)
        except Exception:
            _LOGGER.exception("%s; trying again", complaint)


@contextlib.asynccontextmanager
async def settled(quotas: Quotas, *, seconds: float) -> AsyncIterator[None]:
    """Give back what is left of ``quotas`` now and then while the block runs, and everything at its end."""
    stopped = asyncio.Event()
    work = repeated(quotas.flush, seconds=seconds, stopped=stopped, complaint="quotas are not settled now")
    task = asyncio.create_task(work, name="quotas")
    try:
        yield
    finally:
        stopped.set()
        await asyncio.wait([task])
        with contextlib.suppress(StoreUnavailableError):
            await quotas.flush(everything=True)
