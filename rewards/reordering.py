"""The same judge asked otherwise: with the criteria in reverse order."""

import dataclasses

from typing_extensions import override

from optimizer.types import CriterionScore
from rewards.types import AnswerJudge, Selection


class ReorderedJudge(AnswerJudge):
    """Shows how much of a judge's scores is the presentation: a mere repeat gives the same reply again."""

    def __init__(self, judge: AnswerJudge) -> None:
        """``judge``, asked otherwise."""
        self._judge = judge

    @property
    @override
    def model_name(self) -> str:
        return self._judge.model_name

    @property
    @override
    def template_version(self) -> str:
        return self._judge.template_version

    @override
    async def judge(
        self, query: str, answer: str, selection: Selection, *, seed: int
    ) -> tuple[CriterionScore, ...]:
        """The scores in the order of ``selection``, whose criteria the judge is shown from last to first."""
        turned = dataclasses.replace(selection, criteria=selection.criteria[::-1])
        return (await self._judge.judge(query, answer, turned, seed=seed))[::-1]
