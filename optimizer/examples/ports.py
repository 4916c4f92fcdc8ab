"""The interfaces that stage 1 needs beside those of the search."""

from collections.abc import Sequence
from typing import Protocol

from optimizer.examples.answers import JudgedAnswer, Rewrite
from optimizer.examples.events import RefinementEvent
from optimizer.types import Query


class AnswerRewriter(Protocol):
    """Writes answers that are to be shown as examples."""

    @property
    def template_version(self) -> str:
        """Version of the meta-prompt, for provenance."""
        ...

    async def rewrite(
        self, query: Query, judged: JudgedAnswer | None, *, count: int, draw: int
    ) -> Sequence[Rewrite]:
        """Better answers to ``query`` than ``judged``, or first ones where there is none.

        Args:
            query: what was asked.
            judged: an answer with its score.
            count: how many to write, in one request.
            draw: how often the same was asked for before, so that other answers come.

        Returns:
            ``count`` rewrites in order; one that cannot be read carries why instead of a text.

        Raises:
            ModelError: the rewriter cannot be reached.
            BudgetExceededError: no call left.
        """
        ...


class RefinementObserver(Protocol):
    """Hears what stage 1 does, and cannot alter it."""

    async def notify(self, event: RefinementEvent) -> None:
        """Record ``event``. Events of a kind arrive in any order; after a restart a key may come again."""
        ...


class RoundBudget(Protocol):
    """Says before each round how many examples may take part; the same for every attempt at a job."""

    def room(self, round_number: int, calls: Sequence[int]) -> int:
        """How many of the examples that would make ``calls`` calls can be paid for, the first ones first."""
        ...
