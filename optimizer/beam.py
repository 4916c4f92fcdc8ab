"""Which lineages stay: reward, rank and skip rule as pure functions."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from optimizer.config import PathAggregation
from optimizer.types import BeamPath, Scored, Step

RoundQuery = tuple[int, str]
"""A round's number and a query's id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A lineage and what it was ranked by; ``advantage`` is None where nothing in it was scored."""

    path: BeamPath
    advantage: float | None


def same_before(prompts: Sequence[str]) -> list[int]:
    """For each of ``prompts``, how many equal ones stand before it."""
    seen: Counter[str] = Counter()
    places = []
    for prompt in prompts:
        places.append(seen[prompt])
        seen[prompt] += 1
    return places


def mean_reward(steps: Sequence[Step]) -> float | None:
    """Mean over ``steps`` of each one's mean reward, the unscored left out; None where nothing is left."""
    means = [fmean(rewards) for step in steps if (rewards := _rewards(step))]
    return fmean(means) if means else None


def path_reward(path: BeamPath, aggregation: PathAggregation) -> float | None:
    """The reward of a lineage, 1..5: mean of its steps or its last; the seed prompt's step does not count."""
    steps = path.steps[1:]
    return mean_reward(steps[-1:] if aggregation is PathAggregation.LAST else steps)


def kept_reason(step: Step, threshold: float) -> str | None:
    """Why the candidate of ``step`` is carried on unchanged, or None when it is to be rewritten.

    ``easy``: the mean score lies above ``threshold``. ``unscored``: there is nothing to learn from.
    """
    reward = mean_reward([step])
    if reward is None:
        return "unscored"
    return "easy" if reward > threshold else None


def baselines(steps: Sequence[Step]) -> dict[RoundQuery, float]:
    """The mean reward that the candidates of a round got on each of its queries."""
    rewards: defaultdict[RoundQuery, list[float]] = defaultdict(list)
    for step in steps:
        for evaluation in step.evaluations:
            if isinstance(evaluation.score, Scored):
                key = (evaluation.round, evaluation.rollout.query.id)
                rewards[key].append(evaluation.score.reward)
    return {key: fmean(values) for key, values in rewards.items()}


def rank(
    paths: Sequence[BeamPath], known: Mapping[RoundQuery, float], aggregation: PathAggregation
) -> list[Ranked]:
    """``paths`` from best to worst; ties keep their order.

    A lineage is ranked by how far its rewards lie above those of all candidates on the same queries. While
    everything is scored that is the order of the plain path means (all lineages saw the same queries); with
    unscored steps it stays fair: having missed a hard query is no merit, having missed an easy one no fault.
    A lineage without any score comes last.

    Args:
        paths: lineages of equal length, the seed prompt's step first.
        known: ``baselines`` of all rounds, those of dropped candidates included.
        aggregation: over the steps of a lineage.
    """
    ranked = [Ranked(path=path, advantage=_advantage(path, known, aggregation)) for path in paths]
    return sorted(ranked, key=lambda item: (item.advantage is None, -(item.advantage or 0.0)))


def _advantage(
    path: BeamPath, known: Mapping[RoundQuery, float], aggregation: PathAggregation
) -> float | None:
    steps = path.steps[1:]
    if aggregation is PathAggregation.LAST:
        steps = steps[-1:]
    means = [fmean(values) for step in steps if (values := _advantages(step, known))]
    return round(fmean(means), 9) if means else None  # rounded so that equal rewards stay ties


def _advantages(step: Step, known: Mapping[RoundQuery, float]) -> list[float]:
    return [
        item.score.reward - known[item.round, item.rollout.query.id]
        for item in step.evaluations
        if isinstance(item.score, Scored)
    ]


def _rewards(step: Step) -> list[float]:
    return [item.score.reward for item in step.evaluations if isinstance(item.score, Scored)]
