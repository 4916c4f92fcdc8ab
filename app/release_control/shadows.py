"""Copies of answered requests, sent beside everything else: few at a time, dropped where they would wait."""

import asyncio
import logging
from collections import Counter
from contextvars import Context

from app.outcomes import Outcome, OutcomeFeed, ShadowCopy
from optimizer.errors import DrpoError
from store.errors import StoreError

_LOGGER = logging.getLogger(__name__)


class Shadows:
    """Sends copies. Use as ``async with``: leaving cancels those under way.

    Attributes:
        dropped: copies that were not sent since the start, for want of room.
    """

    def __init__(self, feed: OutcomeFeed) -> None:
        """Copies are sent when ``feed`` says that their originals are answered, and announced there, too."""
        self.dropped = 0
        self._feed = feed
        self._running: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        feed.listen(self.hear)

    async def aclose(self) -> None:
        """Cancel what is under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def hear(self, outcome: Outcome) -> None:
        """Send the copy that belongs to ``outcome``, if it has one and there is room."""
        copy = None if outcome.ticket is None else outcome.ticket.copy
        if copy is None or outcome.ending != "answered":
            return
        if self._running[outcome.model] >= copy.most:
            self.dropped += 1
            return
        self._running[outcome.model] += 1
        # in no context of the original: its times and its trace are its own
        task = asyncio.create_task(self._send(outcome.model, copy), name="shadow", context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, model: str, copy: ShadowCopy) -> None:
        try:
            self._feed.announce(await copy.send())
        except (DrpoError, StoreError) as error:
            _LOGGER.warning("a copy of a request for %s could not be made: %s", model, error)
        except Exception:
            _LOGGER.exception("a copy of a request for %s failed", model)
        finally:
            self._running[model] -= 1
