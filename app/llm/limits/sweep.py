"""The order in which one job's requests leave: those with a common beginning one after the other."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")

Beginning: TypeAlias = tuple[str, ...]
"""What a request begins with, in the order in which a model reads it; empty where that does not matter."""


class Sweep(Generic[T]):
    """Requests in the order of their texts, from the last one that left onwards, and then from the start.

    In that order the longest common beginnings lie side by side, so that a backend that keeps prefixes meets
    each while it still has it. Every request leaves in this sweep or in the next one. Those with the same
    beginning leave as they came.
    """

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: list[tuple[Beginning, int, T]] = []
        self._came = 0
        self._last: tuple[Beginning, int] = ((), -1)

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[T]:
        """Those who wait, next first."""
        at = self._next()
        return (entry[2] for entry in (*self._waiting[at:], *self._waiting[:at]))

    def join(self, beginning: Beginning, request: T) -> int:
        """``request`` waits from now on; gives its number, which ``leave`` asks for."""
        self._came += 1
        insort(self._waiting, (beginning, self._came, request), key=_place)
        return self._came

    def head(self) -> T | None:
        """Who leaves next; None where nobody waits."""
        return self._waiting[self._next()][2] if self._waiting else None

    def leave(self, beginning: Beginning, number: int, *, served: bool) -> bool:
        """The request waits no longer; where it is ``served`` the sweep goes on behind it.

        Returns:
            Whether it has waited.
        """
        if served:
            self._last = (beginning, number)
        at = bisect_left(self._waiting, (beginning, number), key=_place)
        if at == len(self._waiting) or _place(self._waiting[at]) != (beginning, number):
            return False
        del self._waiting[at]
        return True

    def _next(self) -> int:
        at = bisect_right(self._waiting, self._last, key=_place)
        return at if at < len(self._waiting) else 0


def _place(entry: tuple[Beginning, int, T]) -> tuple[Beginning, int]:
    return entry[:2]
