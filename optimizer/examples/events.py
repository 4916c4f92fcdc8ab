"""What stage 1 announces while it runs; keys are as in ``optimizer.events``."""

from dataclasses import dataclass
from typing import TypeAlias

from optimizer.examples.answers import ExampleDraft, JudgedAnswer, RefinementResult


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinementStarted:
    """Work on a bank begins."""

    examples: int
    rounds: int

    @property
    def key(self) -> str:
        """Idempotency key."""
        return "refinement_started"


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinementRoundStarted:
    """A round begins; round 0 judges the first answers."""

    round: int
    example_ids: tuple[str, ...]

    @property
    def key(self) -> str:
        """Idempotency key."""
        return f"refinement_round_started:{self.round}"


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerJudged:
    """An answer was judged, or ended unscored."""

    draft: ExampleDraft
    judged: JudgedAnswer

    @property
    def key(self) -> str:
        """Idempotency key."""
        return f"answer_judged:{self.draft.id}:{self.judged.answer.id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RewriteFailed:
    """A rewrite could not be read, also after the repair request."""

    example_id: str
    round: int
    slot: int
    position: int
    reason: str

    @property
    def key(self) -> str:
        """Idempotency key."""
        return f"rewrite_failed:{self.example_id}:{self.round}:{self.slot}:{self.position}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinementRoundFinished:
    """A round is over.

    Attributes:
        improved: examples that have a better answer than before the round.
        open: examples that are still worked on.
        mean_first / mean_best: mean reward of the first and of the best answers, over the examples where both
            are scored; None where there are none.
    """

    round: int
    rounds_left: int
    improved: int
    open: int
    mean_first: float | None
    mean_best: float | None

    @property
    def key(self) -> str:
        """Idempotency key."""
        return f"refinement_round_finished:{self.round}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinementFinished:
    """All examples are done, or the budget is."""

    result: RefinementResult

    @property
    def key(self) -> str:
        """Idempotency key."""
        return "refinement_finished"


RefinementEvent: TypeAlias = (
    RefinementStarted
    | RefinementRoundStarted
    | AnswerJudged
    | RewriteFailed
    | RefinementRoundFinished
    | RefinementFinished
)
