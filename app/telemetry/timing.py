"""Where the time of one request goes, part by part."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final


class Part(StrEnum):
    """A part of the time from a request to the beginning of its answer.

    All but ``UPSTREAM`` and ``CLIENT`` is our own overhead.
    """

    RESOLVE = "resolve"
    """All that is no other part: who asks, which prompt version, reading and writing JSON."""
    RETRIEVE = "retrieve"
    """Finding the examples for the query."""
    QUEUE = "queue"
    """Waiting for a place at a backend, or before another try."""
    UPSTREAM = "upstream"
    """Waiting for the backend: for its whole answer, or for the first frame of its stream."""
    STORE = "store"
    """Waiting for the database or for Redis."""
    CLIENT = "client"
    """Waiting for the rest of the caller's request."""

    # as a text: the hash of an enumeration's members is a function of Python, and parts are looked up often
    __hash__ = str.__hash__


REPORTED: Final = (Part.RESOLVE, Part.RETRIEVE, Part.QUEUE, Part.UPSTREAM, Part.STORE)
_TIMING: Final = ", ".join(f"{part.value};dur=%.2f" for part in REPORTED)
"""Made once, with plain texts: formatting a member of an enumeration is a function of Python."""
OWN: Final = (Part.RESOLVE, Part.RETRIEVE, Part.QUEUE, Part.STORE)


class Timings:
    """The parts of one request's time, which follow one another.

    A part inside another interrupts it, so that every moment belongs to one part. What runs beside the
    request, without its waiting for it, must not time itself here.
    """

    __slots__ = ("_clock", "_part", "_seconds", "_since", "began")

    def __init__(self, clock: Callable[[], float]) -> None:
        """A request that begins now; ``clock`` gives monotonic seconds."""
        self._clock = clock
        self.began = self._since = clock()
        self._part = Part.RESOLVE
        self._seconds: dict[Part, float] = {}

    def enter(self, part: Part) -> Part:
        """Time belongs to ``part`` from now on.

        Returns:
            The part that it has belonged to.
        """
        left, now = self._part, self._clock()
        self._seconds[left] = self._seconds.get(left, 0.0) + now - self._since
        self._part, self._since = part, now
        return left

    def elapsed(self) -> float:
        """Seconds since the request began."""
        return self._clock() - self.began

    def parts(self) -> dict[Part, float]:
        """What each reported part has taken by now, in seconds."""
        self.enter(self._part)
        seconds = self._seconds
        return {part: seconds.get(part, 0.0) for part in REPORTED}


def own_seconds(parts: Mapping[Part, float]) -> float:
    """Our own overhead in ``parts``, in seconds."""
    return sum([parts[part] for part in OWN])  # a list: a generator takes longer than the sum


def server_timing(parts: Mapping[Part, float]) -> str:
    """``parts`` as the value of a ``Server-Timing`` header, in milliseconds."""
    return _TIMING % tuple([parts[part] * 1000 for part in REPORTED])
