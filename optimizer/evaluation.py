"""Candidates on queries: every rollout at once, each judged as soon as it arrives."""

from collections.abc import Sequence

from optimizer.concurrency import run_together
from optimizer.errors import BudgetExceededError
from optimizer.events import EvaluationFinished
from optimizer.protocols import Scorer, SearchObserver
from optimizer.rollout import RolloutRunner
from optimizer.seeds import content_seed
from optimizer.types import Candidate, Evaluation, Query, Rollout, Score, Step, Unscored

HELD_OUT_ROUND = -1
"""The round that the gate's evaluations carry."""


class Evaluator:
    """Runs and judges candidates."""

    def __init__(self, runner: RolloutRunner, scorer: Scorer, observer: SearchObserver, *, seed: int) -> None:
        """An evaluator for one run; ``seed`` is the run's."""
        self._runner = runner
        self._scorer = scorer
        self._observer = observer
        self._seed = seed

    async def prepare(self, queries: Sequence[Query]) -> None:
        """Have the scorer do what it can before the first answers to ``queries`` exist."""
        await run_together(self._scorer.prepare(query) for query in queries)

    async def evaluate(
        self, candidate: Candidate, queries: Sequence[Query], *, round_number: int, draw: int = 0
    ) -> Step:
        """Run ``candidate`` on all ``queries`` and judge the answers; results in the order of the queries.

        The same prompt on the same query is the same call, whatever candidate or round it belongs to; another
        ``draw`` is another call.

        Raises:
            ModelError: a backend cannot be used.
            BudgetExceededError: no call left.
        """
        evaluations = await run_together(
            self._evaluate_one(candidate, query, round_number, draw) for query in queries
        )
        return Step(candidate=candidate, evaluations=tuple(evaluations))

    async def evaluate_affordable(
        self, candidate: Candidate, queries: Sequence[Query], *, round_number: int
    ) -> Step:
        """As ``evaluate``, but what the budget does not reach is unscored, and the rest is kept.

        Raises:
            ModelError: a backend cannot be used.
        """
        evaluations = await run_together(
            self._evaluate_affordable(candidate, query, round_number) for query in queries
        )
        return Step(candidate=candidate, evaluations=tuple(evaluations))

    async def _evaluate_affordable(self, candidate: Candidate, query: Query, round_number: int) -> Evaluation:
        try:
            return await self._evaluate_one(candidate, query, round_number, 0)
        except BudgetExceededError as error:
            rollout = Rollout(candidate_id=candidate.id, query=query, completion=None, failure=str(error))
            return Evaluation(round=round_number, rollout=rollout, score=Unscored(reason=str(error)))

    async def _evaluate_one(
        self, candidate: Candidate, query: Query, round_number: int, draw: int
    ) -> Evaluation:
        rollout = await self._runner.run(candidate, query, seed=self._seed, draw=draw)
        score: Score
        if rollout.completion is None:
            score = Unscored(reason=rollout.failure)
        else:
            seed = content_seed(self._seed, "judge", candidate.system_prompt, query.id, draw=draw)
            score = await self._scorer.score(query, rollout.completion, seed=seed)
        evaluation = Evaluation(round=round_number, rollout=rollout, score=score)
        await self._observer.notify(EvaluationFinished(evaluation=evaluation))
        return evaluation
