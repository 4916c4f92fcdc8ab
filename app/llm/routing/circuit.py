"""A circuit breaker: who keeps failing is left alone for a while, then tried by one request."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from app.backend_settings import CircuitSettings
from app.llm.routing.outcome_window import OutcomeWindow

_LARGEST_POWER = 30


class CircuitState(StrEnum):
    """What a circuit does with requests: lets all through, none, or one at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A request that was let through.

    Attributes:
        turn: the one that it began in: how it ends means nothing in a later one.
        tries: whether it is the trial of a half-open circuit.
    """

    turn: int
    tries: bool


class Circuit:
    """The circuit of one model of a backend. It lives in this process, and goes by what this process sees."""

    def __init__(self, settings: CircuitSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """A closed circuit; ``clock`` gives monotonic seconds."""
        self._settings = settings
        self._clock = clock
        self._window = OutcomeWindow(settings.window_seconds, clock=clock)
        self._in_a_row = 0
        self._opened = 0
        self._due: float | None = None
        self._trying = False
        self._turn = 0

    @property
    def state(self) -> CircuitState:
        """What it does with the next request."""
        if self._due is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if self._clock() < self._due else CircuitState.HALF_OPEN

    @property
    def requests(self) -> int:
        """How many have ended in the last ``window_seconds``."""
        return self._window.requests

    @property
    def failures(self) -> int:
        """How many of them have failed."""
        return self._window.failures

    @property
    def wait_seconds(self) -> float:
        """Until a request may be let through; 0 where that is now, or once a trial that is under way ends."""
        return 0.0 if self._due is None else max(0.0, self._due - self._clock())

    @property
    def is_passable(self) -> bool:
        """Whether ``enter`` would let a request through now."""
        if self._due is None:
            return True
        return not self._trying and self._clock() >= self._due

    def enter(self) -> Passage | None:
        """Let a request through, which then has to be ``answered``, ``failed`` or ``left``; or None."""
        if self._due is None:
            return Passage(turn=self._turn, tries=False)
        if not self.is_passable:
            return None
        self._trying = True
        return Passage(turn=self._turn, tries=True)

    def answered(self, passage: Passage) -> None:
        """The backend has answered ``passage``, be it by refusing that request: it is there."""
        if passage.turn != self._turn:
            return
        if passage.tries:
            self._close()
            return
        self._in_a_row = 0
        self._window.add(failed=False)

    def failed(self, passage: Passage, *, rest_seconds: float | None = None, surely: bool = False) -> None:
        """``passage`` got no answer.

        Args:
            passage: as ``enter`` gave it.
            rest_seconds: what the backend asks to be left alone for.
            surely: it was tried more than once.
        """
        if passage.turn != self._turn:
            return
        if passage.tries:
            self._open(rest_seconds)
            return
        self._in_a_row += 1
        self._window.add(failed=True)
        if surely or rest_seconds is not None or self._fails_too_often():
            self._open(rest_seconds)

    def left(self, passage: Passage) -> None:
        """``passage`` has ended in a way that says nothing, such as by its client leaving."""
        if passage.tries and passage.turn == self._turn:
            self._trying = False

    def _fails_too_often(self) -> bool:
        settings = self._settings
        if self._in_a_row >= settings.consecutive_failures:
            return True
        requests = self._window.requests
        return requests >= settings.min_requests and (
            self._window.failures >= settings.failure_share * requests
        )

    def _open(self, rest_seconds: float | None) -> None:
        settings = self._settings
        usual = settings.open_seconds * float(2 ** min(self._opened, _LARGEST_POWER))
        self._due = self._clock() + min(
            max(usual, rest_seconds or 0.0), max(settings.max_open_seconds, settings.open_seconds)
        )
        self._opened += 1
        self._begin_turn()

    def _close(self) -> None:
        self._due = None
        self._opened = 0
        self._window.clear()
        self._begin_turn()

    def _begin_turn(self) -> None:
        self._turn += 1
        self._trying = False
        self._in_a_row = 0
