"""One request's way: which route it takes, and which one after that where it was not answered."""

import random
from collections import Counter
from dataclasses import dataclass
from typing import Final

from app.llm.errors import NeverSentError
from app.llm.routing.circuit import Circuit, Passage
from app.llm.routing.routes import Route, Routes
from optimizer.errors import (
    BackendUnavailableError,
    MalformedResponseError,
    MisconfiguredError,
    ModelError,
    RateLimitedError,
)

LONGEST_WAIT_SECONDS: Final = 2.0
"""Who asks for more patience is not waited for: its circuit opens for as long, where it has one."""
_FIRST_WAIT_SECONDS: Final = 0.25
_SAME_AGAIN = (RateLimitedError, BackendUnavailableError, MalformedResponseError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Leg:
    """The next attempt: whom to ask, and how long to wait before."""

    route: Route
    wait_seconds: float = 0.0


class Trip:
    """The attempts at one request. One is under way at a time; each has to end before the next one.

    Attributes:
        attempts: how many there have been, the one under way included.
        refusal: why nobody is asked at all; None where somebody is.
    """

    def __init__(self, routes: Routes) -> None:
        """A request for what ``routes`` lead to, which begins now."""
        self.attempts = 0
        self.refusal: NeverSentError | None = None
        self._routes = routes
        self._asked: Counter[int] = Counter()
        self._began = routes.clock()
        self._circuit: Circuit | None = None
        self._passage: Passage | None = None
        routes.budget.request_came()

    def depart(self) -> Route:
        """The first route; where every circuit is open the one to be asked next, and ``refusal`` is set."""
        for route in self._routes.preferred(self._times_asked):
            self._take(route)
            return route
        route, seconds = self._routes.soonest()
        self.refusal = NeverSentError(
            f"backend {route.backend} has failed too often, and nobody else can answer in its place: it is "
            f"asked again in {seconds:.1f} s",
            backend=route.backend,
            retry_after=seconds,
        )
        return route

    def onward(self, error: ModelError) -> Leg | None:
        """What comes after ``error``, in which the last attempt has ended; None where nothing does.

        What the backend has refused, everybody would: only a mistake in its settings is its own.
        """
        settings = self._routes.settings
        if self.refusal is not None or not isinstance(error, (*_SAME_AGAIN, MisconfiguredError)):
            return None
        late = self._routes.clock() - self._began >= settings.max_total_seconds
        if late or self.attempts >= settings.max_attempts:
            return None
        for route in self._routes.preferred(self._times_asked):
            wait = self._wait_for(route, error)
            if wait is None:
                continue
            if not self._routes.budget.take():
                return None
            self._take(route)
            return Leg(route=route, wait_seconds=wait)
        return None

    def aside(self, route: Route) -> Route | None:
        """The route in place of ``route``, which cannot be asked this and so was not; None without one."""
        self.left()
        self.attempts -= 1
        self._asked[id(route)] = self._routes.settings.attempts_per_route
        for other in self._routes.preferred(self._times_asked):
            if not self._times_asked(other):
                self._take(other)
                return other
        return None

    def answered(self) -> None:
        """The attempt under way has an answer, or the beginning of one."""
        if self._circuit is not None and self._passage is not None:
            self._circuit.answered(self._passage)
        self._passage = None

    def failed(self, error: ModelError, *, surely: bool = False) -> None:
        """The attempt under way has ended in ``error``; ``surely`` where it has tried more than once."""
        if self._circuit is None or self._passage is None:
            return
        if not isinstance(error, (*_SAME_AGAIN, MisconfiguredError)):
            self._circuit.answered(self._passage)
        else:
            asked = error.retry_after if isinstance(error, RateLimitedError) else None
            rest = None if asked is None or asked <= LONGEST_WAIT_SECONDS else asked
            self._circuit.failed(self._passage, rest_seconds=rest, surely=surely)
        self._passage = None

    def broke(self, error: ModelError) -> None:
        """An answer that had begun has ended in ``error``."""
        if self._circuit is not None:
            self._passage = self._circuit.enter()
            self.failed(error)

    def left(self) -> None:
        """The attempt under way, if there is one, has ended in a way that says nothing about its backend."""
        if self._circuit is not None and self._passage is not None:
            self._circuit.left(self._passage)
        self._passage = None

    def _times_asked(self, route: Route) -> int:
        return self._asked[id(route)]

    def _take(self, route: Route) -> None:
        self._circuit = route.circuit
        self._passage = None if route.circuit is None else route.circuit.enter()
        self._asked[id(route)] += 1
        self.attempts += 1

    def _wait_for(self, route: Route, error: ModelError) -> float | None:
        """Seconds until ``route`` should be asked; None where that makes no sense."""
        asked = self._times_asked(route)
        if not asked:
            return 0.0
        if isinstance(error, MisconfiguredError):
            return None
        usual = min(LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * float(2**asked)) * random.uniform(0.5, 1.0)
        told = error.retry_after if isinstance(error, RateLimitedError) else None
        if told is not None and told > LONGEST_WAIT_SECONDS:
            return None
        return max(usual, told or 0.0)
