"""Reasons for scores that have none."""

import pytest

from optimizer.errors import MisconfiguredError, RequestRefusedError
from optimizer.types import (
    Completion,
    CriterionScore,
    Evaluation,
    Rollout,
    Score,
    Scored,
    ScoreSource,
    Unscored,
)
from rewards.judge import Judge
from rewards.reasons import JudgedReasons
from tests.fakes.chat_model import Reply, ScriptedModel
from tests.rewards.builders import ANSWER, GREEDY, QUERY, judge_reply, scorer_of, selector_reply


def scored(*criteria: CriterionScore) -> Scored:
    return Scored(reward=3.3, criteria=criteria)


def bare(name: str, score: float = 3.3) -> CriterionScore:
    return CriterionScore(criterion=name, score=score, rationale="")


def evaluation(score: Score, completion: Completion | None = ANSWER) -> Evaluation:
    rollout = Rollout(candidate_id="c0", query=QUERY, completion=completion)
    return Evaluation(round=0, rollout=rollout, score=score)


def reasons(*replies: Reply) -> tuple[JudgedReasons, ScriptedModel]:
    model = ScriptedModel(replies)
    selector = ScriptedModel([selector_reply("Helpfulness", "Clarity")])
    scorer = scorer_of(selector, ScriptedModel())
    return JudgedReasons(Judge(model, sampling=GREEDY), scorer, seed=7), model


async def test_reasons_are_added_and_scores_stay() -> None:
    giver, _ = reasons(judge_reply(Helpfulness=1, Clarity=2))
    check = CriterionScore(criterion="Short", score=1, rationale="", source=ScoreSource.CHECK)
    given = scored(bare("Helpfulness"), bare("Clarity", 4.2), check)
    (told,) = await giver.with_reasons([evaluation(given)])
    assert isinstance(told.score, Scored)
    assert [(item.score, item.rationale) for item in told.score.criteria] == [
        (3.3, "on Helpfulness"),
        (4.2, "on Clarity"),
        (1, ""),
    ]
    assert told.score.reward == 3.3


async def test_what_has_a_reason_no_score_or_no_answer_is_not_asked_about() -> None:
    giver, model = reasons()
    given = [
        evaluation(scored(CriterionScore(criterion="Clarity", score=2, rationale="murky"))),
        evaluation(Unscored(reason="lost")),
        evaluation(scored(bare("Clarity")), completion=None),
    ]
    assert await giver.with_reasons(given) == tuple(given)
    assert model.requests == []


@pytest.mark.parametrize("reply", ["Well...", RequestRefusedError("no", backend="b", status=400)])
async def test_a_judge_that_gives_none_costs_no_proposal(reply: Reply) -> None:
    giver, _ = reasons(reply, reply)
    given = evaluation(scored(bare("Clarity")))
    assert await giver.with_reasons([given]) == (given,)


async def test_a_judge_that_nobody_can_ask_ends_the_run() -> None:
    giver, _ = reasons(MisconfiguredError("wrong key", backend="b"))
    with pytest.raises(MisconfiguredError):
        await giver.with_reasons([evaluation(scored(bare("Clarity")))])


async def test_a_criterion_without_a_reason_in_the_reply_stays_without() -> None:
    giver, _ = reasons(judge_reply(Clarity=2))
    (told,) = await giver.with_reasons([evaluation(scored(bare("Helpfulness"), bare("Clarity")))])
    assert isinstance(told.score, Scored)
    assert [item.rationale for item in told.score.criteria] == ["", "on Clarity"]


async def test_the_same_answer_is_the_same_call() -> None:
    giver, model = reasons(*[judge_reply(Clarity=2)] * 2)
    given = evaluation(scored(bare("Clarity")))
    await giver.with_reasons([given])
    await giver.with_reasons([given])
    assert model.requests[0] == model.requests[1]
