"""One race: candidates answer the same queries, block by block, and losers leave early."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from optimizer.concurrency import run_together
from optimizer.estimate import CallRates
from optimizer.evaluation import Evaluator
from optimizer.events import CandidateDropped
from optimizer.protocols import SearchObserver, StopCondition
from optimizer.racing import DropReason, Standing, drop
from optimizer.standings import Standings
from optimizer.types import Query


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How a race is run.

    Attributes:
        round: the round that it belongs to.
        queries: what is asked, in this order, the same for all.
        block: queries between two looks.
        reserve: calls that have to be left afterwards.
        keep: candidates that may stay after the first look, next to the leader; half of them after each more.
        drop_deviations: see ``RacingConfig``.
    """

    round: int
    queries: tuple[Query, ...]
    block: int
    reserve: int
    keep: int
    drop_deviations: float


class Race:
    """Runs races on one search's ``standings``, as long as ``stop`` allows; ``observer`` hears of them."""

    def __init__(
        self,
        standings: Standings,
        evaluator: Evaluator,
        observer: SearchObserver,
        stop: StopCondition,
        rates: CallRates,
    ) -> None:
        """Races whose results go into ``standings``."""
        self.standings = standings
        self._evaluator = evaluator
        self.observer = observer
        self.stop = stop
        self._rates = rates

    async def run(self, entrants: Sequence[str], course: Course) -> tuple[str, ...]:
        """Race ``entrants`` with each other and with the leader; gives those left, in their order.

        Raises:
            ModelError: a backend cannot be used.
            BudgetExceededError: no call left.
        """
        running = list(entrants)
        for start in range(0, len(course.queries), course.block):
            block = course.queries[start : start + course.block]
            racers = list(dict.fromkeys([self.standings.leader(), *running]))
            if start and self._cannot_afford(racers, block, course.reserve):
                break
            await self.answer(racers, block, course.round)
            running = await self._look(running, course)
            course = dataclasses.replace(course, keep=max(1, course.keep // 2))
            if not running:
                break
        return tuple(running)

    async def answer(self, candidate_ids: Sequence[str], queries: Sequence[Query], round_number: int) -> None:
        """Have each candidate answer those of ``queries`` that it has not answered yet, all at once."""
        steps = await run_together(
            self._evaluator.evaluate(
                self.standings.candidates[name],
                self.standings.missing(name, queries),
                round_number=round_number,
            )
            for name in candidate_ids
        )
        for step in steps:
            self.standings.record(step)
        await self.standings.refit()

    def calls(self, candidate_ids: Sequence[str], queries: Sequence[Query]) -> int:
        """Calls that ``answer`` makes at most."""
        missing = [self.standings.missing(name, queries) for name in candidate_ids]
        fresh = {query.id for group in missing for query in group}
        return self._rates.rollout * sum(map(len, missing)) + self._rates.query * len(fresh)

    def _cannot_afford(self, racers: Sequence[str], block: Sequence[Query], reserve: int) -> bool:
        return self.stop.exhausted(self.calls(racers, block) + reserve)

    async def _look(self, running: Sequence[str], course: Course) -> list[str]:
        standings = self.standings
        if not standings.is_fitted:
            return list(running)
        leader_id = standings.leader()
        scored = set(standings.scored())
        posterior = standings.posterior
        field = [
            Standing(
                candidate_id=name,
                value=standings.value(name),
                deviation=posterior.deviation(name, leader_id),
                differences=standings.differences(name, leader_id),
            )
            for name in dict.fromkeys([leader_id, *running])
            if name in scored
        ]
        dropped = drop(field, leader_id=leader_id, keep=course.keep, patience=course.drop_deviations)
        for name, reason in dropped.items():
            await self._announce(name, reason, leader_id, course.round)
        return [name for name in running if name in scored and name not in dropped]

    async def _announce(self, name: str, reason: DropReason, leader_id: str, round_number: int) -> None:
        differences = self.standings.differences(name, leader_id)
        await self.observer.notify(
            CandidateDropped(
                round=round_number,
                candidate_id=name,
                reason=reason.value,
                leader_id=leader_id,
                pairs=len(differences),
                difference=fmean(differences) if differences else None,
            )
        )
