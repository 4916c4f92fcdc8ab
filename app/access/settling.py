"""Giving back what processes have drawn from quotas and not spent, in the background."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from app.access.quotas import Quotas
from store.errors import StoreUnavailableError

_LOGGER = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def settled(quotas: Quotas, *, seconds: float) -> AsyncIterator[None]:
    """Give back every so many ``seconds`` while the block runs, and everything at its end."""
    task = asyncio.create_task(_settle_forever(quotas, seconds), name="quotas")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        with contextlib.suppress(StoreUnavailableError):
            await quotas.flush(everything=True)


async def _settle_forever(quotas: Quotas, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await quotas.flush()
        except StoreUnavailableError as error:
            _LOGGER.warning("quotas are not settled now: %s", error)
        except Exception:
            _LOGGER.exception("quotas could not be settled; trying again")
