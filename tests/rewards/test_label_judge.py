"""Judging an answer by the probabilities of digits."""

import pytest

from optimizer.errors import MalformedReplyError
from optimizer.types import Message
from rewards.judge import Judge
from rewards.label_judge import MOST_ALTERNATIVES, LabelJudge
from tests.fakes.chat_model import ScriptedModel
from tests.rewards.builders import GREEDY, digits_reply, selection


def judge_of(model: ScriptedModel) -> LabelJudge:
    return LabelJudge(model, sampling=GREEDY)


async def test_a_score_is_the_expectation_and_comes_without_a_reason() -> None:
    model = ScriptedModel([digits_reply({"4": 0.6, "5": 0.4}, {"3": 0.8, "2": 0.2})])
    helpfulness, clarity = await judge_of(model).judge("Q?", "A.", selection(), seed=5)
    assert (helpfulness.criterion, helpfulness.rationale) == ("Helpfulness", "")
    assert helpfulness.score == pytest.approx(4.4)
    assert clarity.score == pytest.approx(2.8)


async def test_one_short_call_asks_for_free_text_and_all_alternatives() -> None:
    model = ScriptedModel([digits_reply({"4": 1.0}, {"3": 1.0})])
    await judge_of(model).judge("Q?", "A.", selection(), seed=5)
    (request,) = model.requests
    assert request.output is None  # a mask would renormalise what is read
    assert request.top_logprobs == MOST_ALTERNATIVES
    assert request.sampling.max_tokens == 8


async def test_a_criterion_whose_digit_is_a_slip_is_missing() -> None:
    model = ScriptedModel([digits_reply({"4": 0.3, "x": 0.29}, {"3": 1.0})])
    (score,) = await judge_of(model).judge("Q?", "A.", selection(), seed=5)
    assert score.criterion == "Clarity"


async def test_nothing_but_slips_is_malformed() -> None:
    model = ScriptedModel([digits_reply({"4": 0.3}, {"3": 0.2})])
    with pytest.raises(MalformedReplyError, match="less than 50%"):
        await judge_of(model).judge("Q?", "A.", selection(), seed=5)


async def test_the_digits_are_asked_for_by_name_after_the_answer() -> None:
    model = ScriptedModel([digits_reply({"4": 1.0}, {"3": 1.0})])
    await judge_of(model).judge("Q?", "A.", selection(), seed=5)
    prompt = model.requests[0].prompt
    assert not isinstance(prompt, str)
    system, user = prompt
    assert isinstance(system, Message)
    assert isinstance(user, Message)
    assert system.text.startswith("# Task: grade an answer by digits\n")
    assert user.text.rstrip().endswith(
        "## Answer\n| A.\n\n## Digits\n"
        "One digit from 1 to 5 on each line, in this order: Helpfulness, Clarity"
    )


def test_its_version_is_not_the_text_judges() -> None:
    model = ScriptedModel()
    assert judge_of(model).template_version != Judge(model, sampling=GREEDY).template_version
