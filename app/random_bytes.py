"""Random bytes of the system, fetched many at a time: every request needs some, and asking is slow."""

import os
from typing import Final

_FETCHED: Final = 4096


class RandomBytes:
    """Gives bytes that nobody can guess, each once."""

    def __init__(self) -> None:
        """Nothing is fetched yet."""
        self._left = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """``count`` bytes, at most 4,096."""
        end = self._at + count
        if end > len(self._left):
            self._left, self._at, end = os.urandom(_FETCHED), 0, count
        taken = self._left[self._at : end]
        self._at = end
        return taken


RANDOM: Final = RandomBytes()
"""Those of this process. Other processes are started anew, never forked from it."""
