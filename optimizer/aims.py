"""Which criteria a rewrite should raise: where much is to be gained and the target has shown that it can."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optimizer.posterior import Posterior

_CEILING = 4.8
_EXPECTED, _UNSURE = 0.35, 0.25
"""What a line written for a criterion should bring before any has been tried, and how unsure that is."""
_LEAST_RESPONSE = 0.02
_TRIES = 3
"""Draws after which a request may repeat another's aims."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AimSource:
    """Draws aims: room for improvement x weight of the criterion x what lines for it have brought (a draw).

    Attributes:
        posterior: what is known.
        means: the parent's expected score on each criterion.
        count: criteria per request.
    """

    posterior: Posterior
    means: Mapping[str, float]
    count: int

    def draw(self, requests: int, rng: random.Random) -> list[tuple[str, ...]]:
        """The aims of so many requests; they differ where there are enough criteria."""
        used: set[str] = set()
        drawn: list[tuple[str, ...]] = []
        for _ in range(requests):
            aims = self._draw_one(rng)
            for _ in range(_TRIES):
                if used.isdisjoint(aims) or len(self.means) < self.count * (len(drawn) + 1):
                    break
                aims = self._draw_one(rng)
            used.update(aims)
            drawn.append(aims)
        return drawn

    def _draw_one(self, rng: random.Random) -> tuple[str, ...]:
        promise = {}
        for name, mean in self.means.items():
            response = self.posterior.response(name, expected=_EXPECTED, deviation=_UNSURE)
            gain = max(_LEAST_RESPONSE, rng.gauss(response.mean, response.deviation))
            promise[name] = self.posterior.weights[name] * max(0.0, _CEILING - mean) * gain
        ranked: Sequence[str] = sorted(promise, key=lambda name: (-promise[name], name))
        return tuple(ranked[: self.count])
