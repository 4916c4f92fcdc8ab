"""The end of a racing search: the best candidates on all its queries, and pair by pair where that ties."""

from collections.abc import Sequence
from statistics import fmean

from optimizer.concurrency import run_together
from optimizer.config import RacingConfig
from optimizer.events import FinalistsCompared
from optimizer.preferences import Comparison, Preference
from optimizer.protocols import PairwiseJudge
from optimizer.race import Course, Race
from optimizer.seeds import content_seed
from optimizer.types import Completion, Query

_BLOCK = 2
_PAIRS = 6
"""Answers compared at most."""
_CALLS_PER_PAIR = 2


class Final:
    """Chooses the winner among the best candidates."""

    def __init__(
        self,
        race: Race,
        pairwise: PairwiseJudge | None,
        *,
        config: RacingConfig,
        seed: int,
    ) -> None:
        """A final on the standings of ``race``; without ``pairwise`` a tie goes to the older candidate."""
        self._race = race
        self._standings = race.standings
        self._pairwise = pairwise
        self._config = config
        self._seed = seed

    async def run(self, queries: Sequence[Query], round_number: int) -> str:
        """The winner. Takes what calls are left, two queries at a time, as long as the race is open.

        Raises:
            ModelError: a backend cannot be used.
            BudgetExceededError: no call left.
        """
        finalists = self._standings.best(self._config.finalists)
        open_queries = tuple(
            query for query in queries if any(self._standings.missing(name, [query]) for name in finalists)
        )
        first = open_queries[:_BLOCK]
        if len(finalists) > 1 and first and not self._race.stop.exhausted(self._race.calls(finalists, first)):
            await self._race.run(
                finalists,
                Course(
                    round=round_number,
                    queries=open_queries,
                    block=_BLOCK,
                    reserve=0,
                    keep=len(finalists),
                    drop_deviations=1.5 * self._config.drop_deviations,
                ),
            )
        return await self._break_tie(queries, round_number)

    async def _break_tie(self, queries: Sequence[Query], round_number: int) -> str:
        winner, *others = self._standings.best(2)
        if not others or self._pairwise is None:
            return winner
        first, second = sorted((winner, others[0]), key=list(self._standings.candidates).index)
        gap = self._standings.value(winner) - self._standings.value(others[0])
        pairs = self._shared_answers(first, second, queries)
        if (
            gap > self._config.tie_margin
            or not pairs
            or self._race.stop.exhausted(_CALLS_PER_PAIR * len(pairs))
        ):
            return winner
        found = await run_together(
            self._compare(self._pairwise, first, second, query, answers) for query, answers in pairs
        )
        preferences = [item.value for item in found if isinstance(item, Preference)]
        preference = fmean(preferences) if preferences else 0.0
        if preference != 0:
            winner = second if preference > 0 else first
        await self._race.observer.notify(
            FinalistsCompared(
                round=round_number,
                first_id=first,
                second_id=second,
                pairs=len(found),
                uncompared=len(found) - len(preferences),
                preference=preference,
                winner_id=winner,
            )
        )
        return winner

    def _shared_answers(
        self, first: str, second: str, queries: Sequence[Query]
    ) -> list[tuple[Query, tuple[Completion, Completion]]]:
        """Different answers of both to the same query, at most ``_PAIRS``."""
        own, other = self._standings.evaluations[first], self._standings.evaluations[second]
        shared = []
        for query in queries:
            if query.id in own and query.id in other:
                one, two = own[query.id].rollout.completion, other[query.id].rollout.completion
                if one is not None and two is not None and one.text != two.text:
                    shared.append((query, (one, two)))
        return shared[:_PAIRS]

    async def _compare(
        self,
        judge: PairwiseJudge,
        first: str,
        second: str,
        query: Query,
        answers: tuple[Completion, Completion],
    ) -> Comparison:
        texts = [self._standings.candidates[name].system_prompt for name in (first, second)]
        seed = content_seed(self._seed, "pairwise", *texts, query.id)
        return await judge.compare(query, *answers, seed=seed)
