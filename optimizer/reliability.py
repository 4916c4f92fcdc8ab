"""How far a judge can be relied on: its agreement with itself, and what sways it."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance

from optimizer.types import CriterionScore, Evaluation, Score, Scored, ScoreSource, Step

ENOUGH = 8
"""Answers judged twice, or pairs of length and score, from which on a figure is given."""

LITTLE = 0.25
"""Points by which scores may differ on average without harm: a judge who gives every answer nearly the same
score agrees with itself whatever its coefficient says."""

_HIGHEST = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedTwice:
    """One answer and the two scores that it was given, the second with the criteria in reverse order."""

    first: Evaluation
    second: Score


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeReport:
    """What is known about the judge of a job; a figure is None where too little was judged to tell.

    Attributes:
        answers: answers judged.
        unscored_share: of them, those that could not be scored.
        judged_again: answers scored a second time.
        agreement: Krippendorff's alpha (interval data) between the first and the second mean over the judged
            criteria, up to 1; 0 is chance. Below 0.5 more of what scores differ by is chance than answers.
        mean_absolute_difference: between these means, in points.
        order_effect: points that a criterion gains by being asked first instead of last.
        length_bias: correlation of reward and length (logarithm) among answers to the same query, -1..1.
        saturated_share: of criterion scores, those that are the highest there is.
        tied_share: of the pairs of answers to the same query, those with equal rewards.
    """

    answers: int
    unscored_share: float | None
    judged_again: int
    agreement: float | None
    mean_absolute_difference: float | None
    order_effect: float | None
    length_bias: float | None
    saturated_share: float | None
    tied_share: float | None

    def is_below(self, floor: float) -> bool:
        """Whether the judge agrees with itself too little to decide anything by it."""
        if self.agreement is None or self.mean_absolute_difference is None:
            return False
        return self.agreement < floor and self.mean_absolute_difference > LITTLE


def report_on_judge(steps: Sequence[Step], twice: Sequence[JudgedTwice]) -> JudgeReport:
    """What ``steps``, several candidates on the same queries, and second scores say about their judge.

    A judge at temperature 0 repeats itself word for word when asked the same again. So the second time it is
    asked otherwise: with the criteria in reverse order, and another seed. What differs is presentation and
    chance; what is left is the answer.
    """
    evaluations = [item for step in steps for item in step.evaluations]
    scores = [item.score for item in evaluations if isinstance(item.score, Scored)]
    pairs = [
        (judged_criteria(item.first.score), judged_criteria(item.second))
        for item in twice
        if judged_criteria(item.first.score) and judged_criteria(item.second)
    ]
    first, second = [_mean(one) for one, _ in pairs], [_mean(other) for _, other in pairs]
    enough = len(pairs) >= ENOUGH
    marks = [item.score for score in scores for item in judged_criteria(score)]
    return JudgeReport(
        answers=len(evaluations),
        unscored_share=_share(len(evaluations) - len(scores), len(evaluations)),
        judged_again=len(pairs),
        agreement=_alpha(first, second) if enough else None,
        mean_absolute_difference=(
            fmean(abs(one - other) for one, other in zip(first, second, strict=True)) if enough else None
        ),
        order_effect=_order_effect(pairs) if enough else None,
        length_bias=_length_bias(evaluations),
        saturated_share=_share(sum(mark >= _HIGHEST for mark in marks), len(marks)),
        tied_share=_tied_share(evaluations),
    )


def judged_criteria(score: Score) -> tuple[CriterionScore, ...]:
    """What a judge has scored: checks by code agree with themselves anyway."""
    found = score.criteria if isinstance(score, Scored) else ()
    return tuple(item for item in found if item.source is ScoreSource.JUDGE)


def _mean(criteria: Sequence[CriterionScore]) -> float:
    return fmean(item.score for item in criteria)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _alpha(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Krippendorff's alpha of two ratings of each of several things; None where all ratings are equal."""
    everything = [*first, *second]
    count = len(everything)
    by_chance = 2 * pvariance(everything) * count / (count - 1)
    if by_chance == 0:
        return None
    observed = fmean((one - other) ** 2 for one, other in zip(first, second, strict=True))
    return 1 - observed / by_chance


def _order_effect(
    pairs: Sequence[tuple[Sequence[CriterionScore], Sequence[CriterionScore]]],
) -> float | None:
    """Mean difference of a criterion's score in the first half of the list to that in the second."""
    differences = []
    for first, second in pairs:
        later = {item.criterion: item.score for item in second}
        middle = (len(first) - 1) / 2
        differences += [
            (item.score - later[item.criterion]) * math.copysign(1, middle - place)
            for place, item in enumerate(first)
            if item.criterion in later and place != middle
        ]
    return fmean(differences) if differences else None


def _length_bias(evaluations: Sequence[Evaluation]) -> float | None:
    lengths: list[float] = []
    rewards: list[float] = []
    for answers in _by_query(evaluations):
        logs = [math.log(1 + length) for length, _ in answers]
        lengths += [value - fmean(logs) for value in logs]
        mean = fmean(reward for _, reward in answers)
        rewards += [reward - mean for _, reward in answers]
    spread = math.sqrt(sum(value**2 for value in lengths) * sum(value**2 for value in rewards))
    if len(lengths) < ENOUGH or spread == 0:
        return None
    return sum(one * other for one, other in zip(lengths, rewards, strict=True)) / spread


def _tied_share(evaluations: Sequence[Evaluation]) -> float | None:
    ties, pairs = 0, 0
    for answers in _by_query(evaluations):
        rewards = [reward for _, reward in answers]
        count = len(rewards)
        pairs += count * (count - 1) // 2
        same = [rewards.count(value) for value in set(rewards)]
        ties += sum(number * (number - 1) // 2 for number in same)
    return _share(ties, pairs)


def _by_query(evaluations: Sequence[Evaluation]) -> list[list[tuple[int, float]]]:
    """Length and reward of the scored answers to each query that has several."""
    found: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for item in evaluations:
        completion = item.rollout.completion
        if isinstance(item.score, Scored) and completion is not None:
            found[item.rollout.query.id].append((len(completion.text), item.score.reward))
    return [answers for answers in found.values() if len(answers) > 1]
