"""The contenders of the gate on the held-out queries: where a budget ends, whole comparisons are left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from optimizer.concurrency import run_together
from optimizer.errors import BudgetExceededError
from optimizer.evaluation import HELD_OUT_ROUND, Evaluator
from optimizer.protocols import Pace
from optimizer.types import Candidate, Evaluation, Query, Step


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A prompt and what runs and judges it: an incumbent may have other examples than the finalists."""

    candidate: Candidate
    evaluator: Evaluator


async def answer_together(
    contenders: Sequence[Contender], queries: Sequence[Query], pace: Pace
) -> list[Step]:
    """Have all ``contenders`` answer ``queries``; a step for each, with the queries in their order.

    A query is begun for all contenders at once, and in its turn: the next one when ``pace`` lets it, or
    nothing is under way. So a budget that ends too early leaves few queries that only some have answered.
    What it does not reach is unscored.

    Raises:
        ModelError: a backend cannot be used.
    """
    turns = _Turns(pace)
    answered = await run_together(_answer(contenders, query, turns) for query in queries)
    return [
        Step(candidate=contender.candidate, evaluations=tuple(row[place] for row in answered))
        for place, contender in enumerate(contenders)
    ]


async def _answer(contenders: Sequence[Contender], query: Query, turns: "_Turns") -> list[Evaluation]:
    async with turns.next():
        # the criteria are chosen while the first answers are written
        found = await run_together(
            [_prepare(contenders[-1], query), *(_evaluate(contender, query) for contender in contenders)]
        )
        return [item for item in found if item is not None]


async def _evaluate(contender: Contender, query: Query) -> Evaluation:
    step = await contender.evaluator.evaluate_affordable(
        contender.candidate, [query], round_number=HELD_OUT_ROUND
    )
    return step.evaluations[0]


async def _prepare(contender: Contender, query: Query) -> None:
    with contextlib.suppress(BudgetExceededError):  # the evaluations meet it, too
        await contender.evaluator.prepare([query])


class _Turns:
    """Who may begin: in the order of asking, as ``Pace`` lets them."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._first_in_line = asyncio.Lock()
        self._one_ended = asyncio.Event()
        self._under_way = 0
        self._ended = 0

    @asynccontextmanager
    async def next(self) -> AsyncIterator[None]:
        """Wait for one's turn, and be under way while the block runs."""
        async with self._first_in_line:
            while self._under_way and not self._pace.may_begin(ended=self._ended, under_way=self._under_way):
                self._one_ended.clear()
                await self._one_ended.wait()
            self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._ended += 1
            self._one_ended.set()
