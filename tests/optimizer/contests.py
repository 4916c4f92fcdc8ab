"""Held-out answers with the scores that a test wants, without any call."""

from collections.abc import Sequence

from optimizer.types import (
    Candidate,
    Completion,
    CriterionScore,
    Evaluation,
    Query,
    Rollout,
    Score,
    Scored,
    ScoreSource,
    Step,
    Unscored,
)


def criterion(name: str, score: float, source: ScoreSource = ScoreSource.JUDGE) -> CriterionScore:
    """One verdict."""
    return CriterionScore(criterion=name, score=score, rationale="so", source=source)


def with_criteria(**scores: float) -> Scored:
    """A score on these criteria, in their order."""
    return Scored(
        reward=sum(scores.values()) / len(scores),
        criteria=tuple(criterion(name, score) for name, score in scores.items()),
    )


def score_of(value: float | Score | None) -> Score:
    """A reward with one criterion, or none."""
    if value is None:
        return Unscored(reason="not read")
    return with_criteria(Clarity=value) if isinstance(value, int | float) else value


def answered(
    name: str,
    scores: Sequence[float | Score | None],
    *,
    kinds: Sequence[str | None] = (None,),
    texts: Sequence[str] = ("an answer",),
) -> Step:
    """The candidate ``name`` on as many queries as there are scores; kinds and texts in turn."""
    return Step(
        candidate=Candidate(id=name, system_prompt=f"prompt of {name}"),
        evaluations=tuple(
            Evaluation(
                round=-1,
                rollout=Rollout(
                    candidate_id=name,
                    query=Query(id=f"q{place}", text=f"question {place}", kind=kinds[place % len(kinds)]),
                    completion=Completion(text=texts[place % len(texts)]),
                ),
                score=score_of(value),
            )
            for place, value in enumerate(scores)
        ),
    )
