"""Which criteria a rewrite should raise: where much is to be gained and the target has shown that it can."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.posterior import Posterior

_EXPECTED, _UNSURE = 0.35, 0.25
"""Strength that a line for a criterion should bring before any has been tried, and how unsure that is."""
_LEAST_RESPONSE = 0.02
_TRIES = 3
"""Draws after which a request may repeat another's aims."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AimSource:
    """Draws aims: those from which the reward would gain most, by what lines for them have brought (a draw).

    Attributes:
        posterior: what is known.
        parent_id: the candidate to improve.
        count: criteria per request.
    """

    posterior: Posterior
    parent_id: str
    count: int

    def draw(self, requests: int, rng: random.Random) -> list[tuple[str, ...]]:
        """The aims of so many requests; they differ where there are enough criteria."""
        used: set[str] = set()
        drawn: list[tuple[str, ...]] = []
        for _ in range(requests):
            aims = self._draw_one(rng)
            for _ in range(_TRIES):
                if used.isdisjoint(aims) or len(self.posterior.weights) < self.count * (len(drawn) + 1):
                    break
                aims = self._draw_one(rng)
            used.update(aims)
            drawn.append(aims)
        return drawn

    def _draw_one(self, rng: random.Random) -> tuple[str, ...]:
        promise = {}
        for name in self.posterior.weights:
            response = self.posterior.response(name, expected=_EXPECTED, deviation=_UNSURE)
            rise = max(_LEAST_RESPONSE, rng.gauss(response.mean, response.deviation))
            promise[name] = self.posterior.gain(self.parent_id, name, rise)
        ranked: Sequence[str] = sorted(promise, key=lambda name: (-promise[name], name))
        return tuple(ranked[: self.count])
