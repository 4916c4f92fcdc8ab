"""What a racing search needs beside a beam search's fakes: a reflector, a judge of pairs, a forecast."""

from collections.abc import Callable, Sequence

from typing_extensions import override

from optimizer.bearing import Bearing, InstructionReader
from optimizer.brief import Brief
from optimizer.budget import Budget
from optimizer.preferences import Comparison, Preference
from optimizer.prompt_lines import PromptLines, read_prompt, write_prompt
from optimizer.protocols import PairwiseJudge, Reflector, SearchLimits
from optimizer.seeds import content_seed
from optimizer.types import Completion, Proposal, Query, Spend
from tests.fakes.search import Pause, no_pause

Propose = Callable[[Brief, int, int], Proposal]
Prefer = Callable[[Query, str, str], Comparison]


def aimed_proposal(brief: Brief, draw: int, position: int) -> Proposal:
    """The parent with one more instruction, for the first aim in even positions and the last in odd ones."""
    lines = read_prompt(brief.parent.system_prompt)
    aim = brief.aims[0 if position % 2 == 0 else -1]
    number = content_seed(0, "line", brief.parent.system_prompt, aim, str(position), draw=draw) % 50
    added = (*lines.instructions, f"Mind {aim} in way {number}.")
    text = write_prompt(PromptLines(introduction=lines.introduction, instructions=added))
    return Proposal(system_prompt=text, rationale=f"more {aim}")


def rewritten_whole(brief: Brief, draw: int, position: int) -> Proposal:
    """A prompt without a list."""
    number = content_seed(0, "whole", brief.parent.system_prompt, str(position), draw=draw) % 1000
    return Proposal(system_prompt=f"You mind {brief.aims[0]} in way {number}.", rationale="all new")


class FakeReflector(Reflector):
    """Writes proposals by a function of brief, draw and position.

    Attributes:
        briefs: the briefs that it was given.
        draws: the draw of each of them.
        made: every proposal that it gave.
    """

    def __init__(self, propose: Propose = aimed_proposal, *, pause: Pause = no_pause) -> None:
        self._propose = propose
        self._pause = pause
        self.briefs: list[Brief] = []
        self.draws: list[int] = []
        self.made: list[Proposal] = []

    @property
    @override
    def template_version(self) -> str:
        return "fake-2"

    @override
    async def propose(self, brief: Brief, *, draw: int, count: int) -> Sequence[Proposal]:
        self.briefs.append(brief)
        self.draws.append(draw)
        await self._pause()
        found = [self._propose(brief, draw, position) for position in range(count)]
        self.made += found
        return found


class FakeReader(InstructionReader):
    """Reads instructions by ``means``; ``asked`` is what it was given."""

    def __init__(self, means: Callable[[str], Bearing | None], *, pause: Pause = no_pause) -> None:
        self._means = means
        self._pause = pause
        self.asked: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    @override
    async def read(self, instructions: Sequence[str], criteria: Sequence[str]) -> Sequence[Bearing | None]:
        self.asked.append((tuple(instructions), tuple(criteria)))
        await self._pause()
        return [self._means(text) for text in instructions]


def longer_wins(query: Query, first: str, second: str) -> Comparison:
    """Prefers the longer answer."""
    return Preference(value=float((len(second) > len(first)) - (len(second) < len(first))))


class FakePairwiseJudge(PairwiseJudge):
    """Compares by a function of query and both texts; ``pairs`` is what it was asked, ``seeds`` with what."""

    def __init__(self, prefer: Prefer = longer_wins, *, pause: Pause = no_pause) -> None:
        self._prefer = prefer
        self._pause = pause
        self.pairs: list[tuple[str, str, str]] = []
        self.seeds: list[int] = []

    @override
    async def compare(self, query: Query, first: Completion, second: Completion, *, seed: int) -> Comparison:
        self.pairs.append((query.id, first.text, second.text))
        self.seeds.append(seed)
        for _ in range(2):
            await self._pause()
        return self._prefer(query, first.text, second.text)


class PlannedCalls(SearchLimits):
    """So many calls to plan with, None for no limit; ``asked`` is what the search wanted to make of them."""

    def __init__(self, calls: int | None = None) -> None:
        self._calls = calls
        self.asked: list[int] = []

    @override
    def affordable_calls(self, made: int) -> int | None:
        return None if self._calls is None else self._calls - made

    @override
    def exhausted(self, calls_needed: int) -> bool:
        self.asked.append(calls_needed)
        return False


class ChangingCalls(PlannedCalls):
    """Others from the second round on; ``told`` are the calls that the search was told of."""

    def __init__(self, calls: int, later: int) -> None:
        super().__init__(calls)
        self._later: int | None = later
        self._rounds = 0
        self.told: list[int] = []

    @override
    def affordable_calls(self, made: int) -> int | None:
        assert self._calls is not None
        self.told.append(self._calls)
        return super().affordable_calls(made)

    @override
    def have_changed(self) -> bool:
        self._rounds += 1
        if self._rounds != 2 or self._later is None:
            return False
        self._calls, self._later = self._later, None
        return True


class BudgetedCalls(SearchLimits):
    """What ``budget`` has left."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    @override
    def affordable_calls(self, made: int) -> int | None:
        limit = self._budget.limits.calls
        return None if limit is None else limit - made

    @override
    def exhausted(self, calls_needed: int) -> bool:
        return self._budget.exhausted(calls_needed)


def paying(budget: Budget, pause: Pause = no_pause) -> Pause:
    """A call of ``budget``'s: none where it has no room, else one that takes as long as ``pause``."""
    one = Spend(calls=1)

    async def pay() -> None:
        reservation = await budget.reserve(one)
        await pause()
        budget.settle(reservation, one)

    return pay
