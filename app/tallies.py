"""Counts that are held in memory until they are written together."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, Self, TypeVar

from store.errors import StoreError

_LOGGER = logging.getLogger(__name__)


class Tally(Protocol):
    """Something that can be added up."""

    def plus(self, other: Self, /) -> Self:
        """Both together."""
        ...


K = TypeVar("K")
T = TypeVar("T", bound=Tally)


class Tallies(Generic[K, T]):
    """A tally for each key; a kill loses what was not written yet."""

    def __init__(self, write: Callable[[Mapping[K, T]], Awaitable[None]], *, what: str) -> None:
        """Nothing is counted yet; ``write`` adds counts to the store, and ``what`` names them in the log."""
        self._write = write
        self._what = what
        self._counted: dict[K, T] = {}

    def add(self, key: K, tally: T) -> None:
        """Count ``tally`` for ``key``."""
        known = self._counted.get(key)
        self._counted[key] = tally if known is None else known.plus(tally)

    async def flush(self) -> None:
        """Write what was counted; where the store is away it waits for the next time."""
        counted, self._counted = self._counted, {}
        if not counted:
            return
        try:
            await self._write(counted)
        except StoreError as error:
            _LOGGER.warning("%s stay counted in memory: %s", self._what, error)
            for key, tally in counted.items():
                self.add(key, tally)
