"""Which candidates are worth rewriting besides the best one: those that nobody beats on everything.

A Pareto front over criteria keeps prompts that are strong somewhere, so that a search doesn't collapse into
one lineage (as GEPA keeps its front over instances, arXiv 2507.19457).
"""

import random
from collections.abc import Mapping


def pareto_front(means: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """The candidates that no other is at least as good as on every criterion and better on one.

    Args:
        means: for each candidate, in order of age, its expected score on each criterion.
    """
    return tuple(
        name
        for name, own in means.items()
        if not any(_dominates(other, own) for rival, other in means.items() if rival != name)
    )


def pick_parent(means: Mapping[str, Mapping[str, float]], rng: random.Random) -> str:
    """One of the front, as often as there are criteria on which it is the best."""
    front = pareto_front(means)
    criteria = sorted({criterion for own in means.values() for criterion in own})
    champions = [max(front, key=lambda name: means[name].get(criterion, 0.0)) for criterion in criteria]
    return rng.choice(champions or list(front))


def _dominates(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return all(one.get(name, 0.0) >= value for name, value in other.items()) and any(
        one.get(name, 0.0) > value for name, value in other.items()
    )
