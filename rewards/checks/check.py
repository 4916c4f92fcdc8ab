"""A code reward: a rule with its name, its weight and the queries that it is for."""

from dataclasses import dataclass
from typing import Protocol

from optimizer.types import CriterionScore, Query, ScoreSource, Unscored

PASSED = 5.0
FAILED = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a rule says of an answer: ``score`` in 1..5 and why."""

    score: float
    rationale: str


class Rule(Protocol):
    """Something that an answer meets or not. Deterministic, and bounded in time by the answer's length."""

    def judge(self, answer: str) -> Verdict | Unscored:
        """The verdict on ``answer``; ``Unscored`` where it cannot be reached."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A code reward.

    Attributes:
        name: the criterion's name.
        rule: what it looks at.
        weight: how much it counts; 0 for not at all.
        required: whether an answer that gets the lowest score here is worth the lowest reward.
        kinds: the kinds of queries that it is for; empty for all.
    """

    name: str
    rule: Rule
    weight: float = 1.0
    required: bool = False
    kinds: frozenset[str] = frozenset()

    def applies(self, query: Query) -> bool:
        """Whether it is for ``query``; one of unknown kind is of none."""
        return not self.kinds or query.kind in self.kinds

    def score(self, answer: str) -> CriterionScore | Unscored:
        """The score of ``answer``, or why there is none."""
        verdict = self.rule.judge(answer)
        if isinstance(verdict, Unscored):
            return Unscored(reason=f"{self.name}: {verdict.reason}")
        return CriterionScore(
            criterion=self.name,
            score=verdict.score,
            rationale=verdict.rationale,
            weight=self.weight,
            source=ScoreSource.CHECK,
            required=self.required,
        )
