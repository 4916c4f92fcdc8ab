"""The routes of a target: every backend and model that may answer for it."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.llm.capability_finder import ProbedModel
from app.llm.passthrough import Upstream
from app.llm.routing.circuit import Circuit
from app.llm.routing.retry_budget import RetryBudget
from app.llm.wire import Api
from app.serving_settings import RoutingSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One model of one backend, as it answers for a target.

    Attributes:
        backend / model / api: the backend's configured name, its name for the model, and how that is asked.
        weight: its share of the requests; None for a fallback, which has none.
        upstream: its raw interface.
        probed: as who is asked what it can do.
        circuit: says whether it is to be left alone; None where nobody would answer in its place.
    """

    backend: str
    model: str
    api: Api
    weight: float | None
    upstream: Upstream
    probed: ProbedModel
    circuit: Circuit | None = None

    @property
    def is_fallback(self) -> bool:
        """Whether it is asked only where no other one answers."""
        return self.weight is None

    @property
    def is_passable(self) -> bool:
        """Whether a request may be sent to it now."""
        return self.circuit is None or self.circuit.is_passable


class Routes:
    """All routes of one target.

    Attributes:
        settings: how requests find one that answers.
        budget: what further attempts are taken from.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        settings: RoutingSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        """The routes of a target.

        Args:
            routes: at least one with a weight above 0, or a fallback; fallbacks in their order.
            settings: how requests find one that answers.
            clock: monotonic seconds.
            chance: chooses between weights; by default another way each time.
        """
        self._all = tuple(routes)
        self._weighted = tuple(route for route in routes if route.weight)
        self._fallbacks = tuple(route for route in routes if route.is_fallback)
        self._chance = chance or random.Random()
        self.settings = settings
        self.clock = clock
        self.budget = RetryBudget(
            share=settings.retry_share, per_second=settings.retries_per_second, clock=clock
        )
        choosable = (*self._weighted, *self._fallbacks)
        is_plain = len(choosable) == 1 and settings.attempts_per_route == 1 and choosable[0].circuit is None
        self.only = choosable[0] if is_plain else None
        """The route of every request, where there is nothing to choose."""

    def __iter__(self) -> Iterator[Route]:
        """All of them, also those without a share."""
        return iter(self._all)

    @property
    def are_several(self) -> bool:
        """Whether more than one may be asked."""
        return len(self._weighted) + len(self._fallbacks) > 1

    def preferred(self, asked: Callable[[Route], int]) -> Iterator[Route]:
        """The routes that may be asked now, in the order in which this request should ask them.

        Those that it has asked least, and among these fallbacks last; others by chance, as their weights say.

        Args:
            asked: how often this request has asked a route.
        """
        rounds = {asked(route) for route in (*self._weighted, *self._fallbacks)}
        for times in sorted(rounds):
            if times >= self.settings.attempts_per_route:
                return
            left = [route for route in self._weighted if asked(route) == times and route.is_passable]
            while left:
                weights = [route.weight or 0.0 for route in left]
                chosen = left[0] if len(left) == 1 else self._chance.choices(left, weights)[0]
                yield chosen
                left.remove(chosen)
            yield from (route for route in self._fallbacks if asked(route) == times and route.is_passable)

    def soonest(self) -> tuple[Route, float]:
        """The route that may be asked next, and in how many seconds, where none may be now."""
        waits = [
            (0.0 if route.circuit is None else route.circuit.wait_seconds, place, route)
            for place, route in enumerate((*self._weighted, *self._fallbacks))
        ]
        seconds, _, route = min(waits)
        return route, seconds
