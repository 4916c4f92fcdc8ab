"""How long the rest of a search takes, from the stretches of it that were measured.

A search is made of *waves*: requests that wait for nobody but the wave before. With room for all of its
requests a wave takes as long as its slowest one; without, as long as they take one after the other. So the
rest is measured in both ways, and the range holds both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from optimizer.estimate import CallRange
from optimizer.plan import SearchPlan

SEED_WAVES = 2
"""The seed prompt's answers, and what they are worth."""
GATE_WAVES = 3
"""Answers, scores, and some scores a second time."""
SPREAD_OF_ONE = 0.3
"""Share by which another stretch may differ where only one was measured; it falls with their square root."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waves:
    """Waves at least, as expected, and at most."""

    low: float
    expected: float
    high: float

    def times(self, low: float, expected: float, high: float) -> "Waves":
        """So many times as many, at each end."""
        return Waves(low=self.low * low, expected=self.expected * expected, high=self.high * high)

    def plus(self, other: "Waves") -> "Waves":
        """Both, one after the other."""
        return Waves(
            low=self.low + other.low, expected=self.expected + other.expected, high=self.high + other.high
        )


BEAM_ROUND = Waves(low=2, expected=3, high=3)
"""Proposals, answers, scores; nothing is proposed where every lineage is kept."""
GATE = Waves(low=GATE_WAVES - 1, expected=GATE_WAVES, high=GATE_WAVES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A part of the search that is over.

    Attributes:
        waves: how many it was made of, above 0.
        calls: how many it made, above 0.
        seconds: of work; pauses and down times are left out.
    """

    waves: float
    calls: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondsLeft:
    """Seconds at least, as expected, and at most."""

    low: float
    expected: float
    high: float

    def less(self, seconds: float) -> "SecondsLeft":
        """What is left after ``seconds`` more of work."""
        low, expected, high = (max(0.0, end - seconds) for end in (self.low, self.expected, self.high))
        return SecondsLeft(low=low, expected=expected, high=high)

    def within(self, most: float) -> "SecondsLeft":
        """The same where work ends after ``most`` seconds."""
        low, expected, high = (min(most, end) for end in (self.low, self.expected, self.high))
        return SecondsLeft(low=low, expected=expected, high=high)


def race_round(plan: SearchPlan) -> Waves:
    """Waves of a round of a racing search: proposals, then two for each block of the race that is needed."""
    return Waves(low=3, expected=2 + plan.blocks, high=1 + 2 * plan.blocks)


def seconds_left(measured: Sequence[Stretch], waves: Waves, calls: CallRange) -> SecondsLeft | None:
    """What the rest of a search takes at the pace so far.

    Args:
        measured: what is over.
        waves: what is left.
        calls: the same, in calls.

    Returns:
        None where nothing was measured.
    """
    if not measured:
        return None
    by_wave = _pace([item.seconds / item.waves for item in measured])
    by_call = _pace([item.seconds / item.calls for item in measured])
    return SecondsLeft(
        low=min(by_wave.low * waves.low, by_call.low * calls.low),
        expected=(by_wave.expected * waves.expected + by_call.expected * calls.expected) / 2,
        high=max(by_wave.high * waves.high, by_call.high * calls.high),
    )


def _pace(values: Sequence[float]) -> SecondsLeft:
    """The usual one, and where half of them lie: a machine that slept for an hour says nothing."""
    middle, margin = median(values), SPREAD_OF_ONE / math.sqrt(len(values))
    first, last = middle, middle
    if len(values) > 1:
        first, _, last = quantiles(values, n=4, method="inclusive")
    return SecondsLeft(
        low=min(first, middle * (1 - margin)), expected=middle, high=max(last, middle * (1 + margin))
    )
