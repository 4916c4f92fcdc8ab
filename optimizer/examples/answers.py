"""The values of stage 1: drafts of examples go in, answers are tried, refined examples come out."""

from dataclasses import dataclass
from enum import StrEnum

from optimizer.types import Example, Query, Score, Scored


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleDraft:
    """An example as it was given.

    Attributes:
        id: unique within a bank.
        answer: None where one is still to be written.
    """

    id: str
    query: str
    answer: str | None = None
    kind: str | None = None

    def to_query(self) -> Query:
        """What selector and judge are asked about."""
        return Query(id=self.id, text=self.query, kind=self.kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer to one example's query, and where it comes from.

    Attributes:
        id: unique within the example: ``a0`` for the given one, else ``a<round>.<beam slot>.<position>``; the
            same in every run with the same seed.
        text: not blank.
        parent_id: the answer that it was rewritten from; None for one that was given or drafted.
        rationale: what the rewriter changed, and why.
    """

    id: str
    text: str
    parent_id: str | None = None
    round: int = 0
    rationale: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedAnswer:
    """An answer with its score."""

    answer: Answer
    score: Score

    @property
    def reward(self) -> float | None:
        """1..5, or None where it could not be scored."""
        return self.score.reward if isinstance(self.score, Scored) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite:
    """What a rewriter wrote.

    Attributes:
        text: the answer, not blank; None where the reply could not be read.
        rationale: what changed, or why it could not be read.
    """

    text: str | None
    rationale: str


class ExampleEnd(StrEnum):
    """Why work on an example ended."""

    PERFECT = "perfect"
    NO_GAIN = "no_gain"
    ROUNDS = "rounds"
    UNSCORED = "unscored"
    NO_ANSWER = "no_answer"
    BUDGET = "budget"


class RefinementEnd(StrEnum):
    """Why a refinement ended."""

    DONE = "done"
    ROUNDS = "rounds"
    BUDGET = "budget"


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinedExample:
    """What has become of an example.

    Attributes:
        draft: as it was given.
        first: the given answer, or the best that was written in its place, as judged before any rewriting;
            None where it was never judged.
        best: what the bank gets: the given answer unless another is strictly better; None for none at all.
        end: why work on it ended.
        judged: answers judged, unscored ones included.
    """

    draft: ExampleDraft
    first: JudgedAnswer | None
    best: JudgedAnswer | None
    end: ExampleEnd
    judged: int

    @property
    def example(self) -> Example | None:
        """For the bank: with the best answer, else the given one; None where there is neither."""
        answer = self.draft.answer if self.best is None else self.best.answer.text
        if answer is None:
            return None
        return Example(id=self.draft.id, query=self.draft.query, answer=answer, kind=self.draft.kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class RefinementResult:
    """What a refinement found.

    Attributes:
        examples: one for each draft, in their order.
        end: why it ended.
        rounds: rounds of rewriting that were completed or begun.
    """

    examples: tuple[RefinedExample, ...]
    end: RefinementEnd
    rounds: int

    @property
    def bank(self) -> tuple[Example, ...]:
        """The examples that have an answer."""
        return tuple(item.example for item in self.examples if item.example is not None)
