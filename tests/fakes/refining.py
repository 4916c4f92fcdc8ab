"""A rewriter, a budget and an observer for stage 1, without any model."""

from collections.abc import Callable, Sequence

from typing_extensions import override

from optimizer.errors import BudgetExceededError
from optimizer.examples.answers import JudgedAnswer, Rewrite
from optimizer.examples.events import RefinementEvent
from optimizer.examples.ports import AnswerRewriter, RefinementObserver, RoundBudget
from optimizer.types import Query

Write = Callable[[Query, JudgedAnswer | None, int], Rewrite]


def numbered(query: Query, judged: JudgedAnswer | None, position: int) -> Rewrite:
    """A text that says where it comes from."""
    before = "nothing" if judged is None else judged.answer.text
    return Rewrite(text=f"{before}>{position}", rationale="a step on")


class FakeRewriter(AnswerRewriter):
    """Writes what ``write`` says.

    Attributes:
        asked: the (query id, text that was shown, count) of each request.
        calls_left: after so many requests the budget is over; None for no end.
    """

    def __init__(self, write: Write = numbered, *, calls_left: int | None = None) -> None:
        self._write = write
        self.asked: list[tuple[str, str | None, int]] = []
        self.calls_left = calls_left

    @property
    @override
    def template_version(self) -> str:
        return "fake-1"

    @override
    async def rewrite(
        self, query: Query, judged: JudgedAnswer | None, *, count: int, draw: int
    ) -> Sequence[Rewrite]:
        if self.calls_left is not None:
            if not self.calls_left:
                raise BudgetExceededError("calls")
            self.calls_left -= 1
        self.asked.append((query.id, None if judged is None else judged.answer.text, count))
        return [self._write(query, judged, position + draw * count) for position in range(count)]


class RoundRooms(RoundBudget):
    """Room for so many examples in each round; all of them where no number is given.

    Attributes:
        asked: the calls that were asked about, by round.
    """

    def __init__(self, *rooms: int) -> None:
        self._rooms = rooms
        self.asked: list[tuple[int, tuple[int, ...]]] = []

    @override
    def room(self, round_number: int, calls: Sequence[int]) -> int:
        self.asked.append((round_number, tuple(calls)))
        given = self._rooms[round_number : round_number + 1]
        return min(given[0], len(calls)) if given else len(calls)


class RecordingObserver(RefinementObserver):
    """Keeps every event in the order in which it came."""

    def __init__(self) -> None:
        self.events: list[RefinementEvent] = []

    @override
    async def notify(self, event: RefinementEvent) -> None:
        self.events.append(event)
