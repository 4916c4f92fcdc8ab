"""Reasons for scores that came without them: asked only where somebody will read them."""

import dataclasses
from collections.abc import Sequence

from typing_extensions import override

from optimizer.concurrency import run_together
from optimizer.errors import MalformedReplyError, MisconfiguredError, RequestRefusedError
from optimizer.protocols import ReasonGiver
from optimizer.seeds import content_seed
from optimizer.types import Evaluation, Scored, ScoreSource
from rewards.types import AnswerJudge, RewardScorer


class JudgedReasons(ReasonGiver):
    """Asks a judge that gives reasons, and keeps the scores that are there."""

    def __init__(self, judge: AnswerJudge, scorer: RewardScorer, *, seed: int) -> None:
        """Reasons by ``judge``.

        Args:
            judge: gives a reason with each score.
            scorer: knows the criteria of each query.
            seed: the run's.
        """
        self._judge = judge
        self._scorer = scorer
        self._seed = seed

    @override
    async def with_reasons(self, evaluations: Sequence[Evaluation]) -> tuple[Evaluation, ...]:
        return tuple(await run_together(self._with_reasons(item) for item in evaluations))

    async def _with_reasons(self, evaluation: Evaluation) -> Evaluation:
        score, completion = evaluation.score, evaluation.rollout.completion
        if not isinstance(score, Scored) or completion is None:
            return evaluation
        lacking = {
            item.criterion
            for item in score.criteria
            if item.source is ScoreSource.JUDGE and not item.rationale
        }
        reasons = await self._reasons(evaluation, completion.text) if lacking else {}
        criteria = tuple(
            dataclasses.replace(item, rationale=reasons.get(item.criterion, ""))
            if item.criterion in lacking
            else item
            for item in score.criteria
        )
        return dataclasses.replace(evaluation, score=dataclasses.replace(score, criteria=criteria))

    async def _reasons(self, evaluation: Evaluation, answer: str) -> dict[str, str]:
        """Criterion to reason; empty where the judge refused or could not be read."""
        query = evaluation.rollout.query
        selection = await self._scorer.selection(query)
        seed = content_seed(self._seed, "reasons", answer, query.id)
        try:
            verdicts = await self._judge.judge(query.text, answer, selection, seed=seed)
        except MisconfiguredError:
            raise
        except (RequestRefusedError, MalformedReplyError):
            return {}
        return {verdict.criterion: verdict.rationale for verdict in verdicts}
