"""Hints that something about an optimization has changed, to those who wait in this process."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Heard: TypeAlias = Callable[[str | None], None]
"""Told which optimization has changed; None where any may have."""


class Wakeups:
    """Wakes those who wait for an optimization's next change.

    A hint carries nothing: whoever is woken reads the table. What other processes change is heard where a
    ``HintListener`` runs; a hint may be lost or come twice.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._workers: list[Heard] = []

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

    @contextmanager
    def listen_for_work(self, heard: Heard) -> Iterator[None]:
        """Call ``heard`` whenever there is something to do for workers, while the context is open.

        That is: an optimization waits to be claimed, or its owner has been asked for something.
        """
        self._workers.append(heard)
        try:
            yield
        finally:
            self._workers.remove(heard)

    def notify(self, optimization_id: str, *, for_workers: bool = False) -> None:
        """Wake all who listen for ``optimization_id``; and, where it is ``for_workers``, those."""
        for event in self._waiting.get(optimization_id, ()):
            event.set()
        if for_workers:
            self._call_workers(optimization_id)

    def notify_all(self) -> None:
        """Wake everybody: hints may have been lost."""
        for events in self._waiting.values():
            for event in events:
                event.set()
        self._call_workers(None)

    def _call_workers(self, optimization_id: str | None) -> None:
        for heard in tuple(self._workers):
            heard(optimization_id)
