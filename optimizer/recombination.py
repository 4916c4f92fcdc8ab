"""New candidates without a proposer: the instructions that have done best, put together.

Which ones is decided on a draw from the surrogate's posterior (Thompson sampling), so that what is unknown
gets tried, and what is known to do nothing is left out. Instructions for the same criterion add less and
less, since no score goes above 5.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optimizer.posterior import Posterior

_REACH = 2.0
"""Strength that instructions can add to a criterion at most, together: so further ones add less and less."""
_MOST_CHANGES = 30
_WORTH_A_CHANGE = 1e-4
_WIDEST = 60
"""Instructions looked at, those that look best: each step of the search tries every one in every place."""
_SHIFTS = np.linspace(-6, 6, 241)
"""Shifts of a criterion's strength for which its expected score is tabulated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Instructions to choose from.

    Attributes:
        instructions: all that were ever proposed, the oldest first.
        most: how many a prompt may have.
        price: reward that an instruction has to bring, per word.
    """

    instructions: tuple[str, ...]
    most: int
    price: float


def choose_instructions(
    bench: Bench,
    present: Sequence[str],
    posterior: Posterior,
    *,
    rng: np.random.Generator | None,
) -> tuple[str, ...]:
    """The best set of instructions by local search from ``present``: add, drop or swap one at a time.

    Args:
        bench: what there is.
        present: the instructions to start from, in their order; what stays keeps its place.
        posterior: what they are believed to do.
        rng: for a draw from the posterior; None for its mean.
    """
    effects = posterior.line_effects(rng)
    known = _most_promising(bench, present, posterior, effects)
    chosen = [known.index(text) for text in dict.fromkeys(present) if text in known][: bench.most]
    worth = _worth(known, bench, posterior, effects)
    best = worth([chosen])[0]
    for _ in range(_MOST_CHANGES):
        groups = _neighbours(chosen, len(known), bench.most)
        options = [option for group in groups for option in group]
        values = np.concatenate([worth(group) for group in groups])
        place = int(np.argmax(values)) if options else 0
        if not options or values[place] <= best + _WORTH_A_CHANGE:
            break
        best, chosen = values[place], options[place]
    return tuple(known[number] for number in chosen)


def choose_introduction(introductions: Sequence[str], posterior: Posterior, *, price: float) -> str:
    """The introduction that is believed to do most, each of its words costing ``price``; the first of equals.

    Args:
        introductions: at least one; what each says is known to ``posterior`` line by line.
        posterior: what the lines are believed to do.
        price: reward that a word has to bring.
    """
    effects = posterior.line_effects(None)

    def worth(text: str) -> float:
        lines = [line.strip() for line in text.split("\n")]
        rows = [posterior.lines[line] for line in lines if line in posterior.lines]
        gain = 0.0
        for name, weight in posterior.weights.items():
            before, after = posterior.criteria[name].mean_scores(np.array([0.0, effects[name][rows].sum()]))
            gain += weight * float(after - before)
        return round(gain - price * len(text.split()), 9)

    return max(introductions, key=worth)


def _most_promising(
    bench: Bench,
    present: Sequence[str],
    posterior: Posterior,
    effects: Mapping[str, NDArray[np.float64]],
) -> list[str]:
    totals = sum(weight * effects[name] for name, weight in posterior.weights.items())
    known = [text for text in bench.instructions if text in posterior.lines]
    ranked = sorted(known, key=lambda text: -float(np.take(totals, posterior.lines[text])))
    kept = {*ranked[:_WIDEST], *present}
    return [text for text in known if text in kept]


def _worth(
    known: Sequence[str],
    bench: Bench,
    posterior: Posterior,
    effects: Mapping[str, NDArray[np.float64]],
) -> Callable[[Sequence[Sequence[int]]], NDArray[np.float64]]:
    """What sets of instructions are worth; those asked about together are of the same size."""
    names = list(posterior.weights)
    curves = [posterior.weights[name] * posterior.criteria[name].mean_scores(_SHIFTS) for name in names]
    rows = [posterior.lines[text] for text in known]
    table = np.array([effects[name][rows] for name in names]).T.reshape(len(known), len(names))
    shares: NDArray[np.float64] = np.clip(table / _REACH, -1.0, 0.9)
    words = np.array([len(text.split()) for text in known])

    def worth(options: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        sets = np.array(options, dtype=np.intp).reshape(len(options), len(options[0]) if options else 0)
        picked = shares[sets]
        left = np.prod(1 - np.maximum(picked, 0.0), axis=1)
        shifts = _REACH * (1 - left + np.minimum(picked, 0.0).sum(axis=1))
        values: NDArray[np.float64] = -bench.price * words[sets].sum(axis=1)
        for at, curve in enumerate(curves):
            values = values + np.interp(shifts[:, at], _SHIFTS, curve)
        return np.round(values, 9)

    return worth


def _neighbours(chosen: list[int], count: int, most: int) -> tuple[list[list[int]], ...]:
    """Sets that differ by one instruction; within a group they are of the same size."""
    others = [number for number in range(count) if number not in chosen]
    dropped = [chosen[:place] + chosen[place + 1 :] for place in range(len(chosen))]
    added = [[*chosen, number] for number in others] if len(chosen) < most else []
    swapped = [
        [*chosen[:place], number, *chosen[place + 1 :]] for place in range(len(chosen)) for number in others
    ]
    return added, dropped, swapped
