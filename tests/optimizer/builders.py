"""Short ways to the values that these tests are about."""

from collections.abc import Sequence

from optimizer.types import (
    BeamPath,
    Candidate,
    Completion,
    Evaluation,
    Query,
    Rollout,
    Score,
    Step,
    Unscored,
)
from tests.fakes.search import scored


def make_queries(count: int, *, prefix: str = "q") -> tuple[Query, ...]:
    return tuple(Query(id=f"{prefix}{number:03}", text=f"question {number}") for number in range(count))


def make_score(reward: float | None) -> Score:
    return Unscored(reason="not read") if reward is None else scored(reward)


def make_step(candidate_id: str, round_number: int, rewards: Sequence[float | None]) -> Step:
    candidate = Candidate(id=candidate_id, system_prompt=f"prompt of {candidate_id}", round=round_number)
    evaluations = tuple(
        Evaluation(
            round=round_number,
            rollout=Rollout(
                candidate_id=candidate_id,
                query=Query(id=f"q{round_number}.{place}", text=f"question {round_number}.{place}"),
                completion=Completion(text=f"answer of {candidate_id}"),
            ),
            score=make_score(reward),
        )
        for place, reward in enumerate(rewards)
    )
    return Step(candidate=candidate, evaluations=evaluations)


def make_path(name: str, rounds: Sequence[Sequence[float | None]]) -> BeamPath:
    """A lineage whose step in round r has the rewards ``rounds[r]``; the seed prompt's step comes first."""
    steps = (
        make_step("c0" if number == 0 else f"c{number}.{name}", number, rewards)
        for number, rewards in enumerate(rounds)
    )
    return BeamPath(steps=tuple(steps))
