"""Hints within one process that something about an optimization has changed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Wakeups:
    """Wakes those who wait for an optimization's next change.

    A hint carries nothing: whoever is woken reads the table. Waiters of other processes are not reached.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def listen(self, optimization_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at every hint while the context is open. Listen first, then read."""
        event = asyncio.Event()
        self._waiting.setdefault(optimization_id, set()).add(event)
        try:
            yield event
        finally:
            listeners = self._waiting[optimization_id]
            listeners.discard(event)
            if not listeners:
                del self._waiting[optimization_id]

    def notify(self, optimization_id: str) -> None:
        """Wake all who listen for ``optimization_id``."""
        for event in self._waiting.get(optimization_id, ()):
            event.set()
