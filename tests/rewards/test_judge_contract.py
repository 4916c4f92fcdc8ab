"""Both judges keep what a judge promises."""

from typing_extensions import override

from optimizer.types import Completion
from rewards.judge import Judge
from rewards.label_judge import LabelJudge
from rewards.types import AnswerJudge
from tests.contracts.answer_judge import CRITERIA, AnswerJudgeContract
from tests.fakes.chat_model import ScriptedModel
from tests.rewards.builders import GREEDY, digits_reply, judge_reply


class TestTextJudge(AnswerJudgeContract):
    @override
    def judge_of(self, model: ScriptedModel) -> AnswerJudge:
        return Judge(model, sampling=GREEDY)

    @override
    def readable(self, *scores: int) -> str | Completion:
        names = [criterion.name for criterion in CRITERIA.criteria]
        return judge_reply(**dict(zip(names, scores, strict=True)))


class TestLabelJudge(AnswerJudgeContract):
    @override
    def judge_of(self, model: ScriptedModel) -> AnswerJudge:
        return LabelJudge(model, sampling=GREEDY)

    @override
    def readable(self, *scores: int) -> str | Completion:
        return digits_reply(*({str(score): 1.0} for score in scores))
