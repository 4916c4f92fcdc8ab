"""Judging an answer."""

import json

import pytest

from optimizer.errors import BackendUnavailableError, MalformedReplyError, RequestRefusedError
from optimizer.types import CriterionScore, Message
from rewards.judge import Judge
from tests.fakes.chat_model import ScriptedModel
from tests.rewards.builders import GREEDY, judge_reply, selection


def judge_of(model: ScriptedModel) -> Judge:
    return Judge(model, sampling=GREEDY)


async def test_each_criterion_gets_a_score_and_a_reason() -> None:
    model = ScriptedModel([judge_reply(Clarity="4/5", Helpfulness=2)])
    assert await judge_of(model).judge("Q?", "A.", selection(), seed=5) == (
        CriterionScore(criterion="Helpfulness", score=2.0, rationale="on Helpfulness"),
        CriterionScore(criterion="Clarity", score=4.0, rationale="on Clarity"),
    )


async def test_the_request_carries_seed_sampling_and_schema() -> None:
    model = ScriptedModel([judge_reply(Clarity=4)])
    await judge_of(model).judge("Q?", "A.", selection(), seed=5)
    (request,) = model.requests
    assert (request.seed, request.sampling, request.n) == (5, GREEDY, 1)
    assert request.output is not None
    assert request.output.name == "criterion_scores"
    json.dumps(request.output.schema)


async def test_the_system_message_is_the_same_for_every_answer() -> None:
    model = ScriptedModel([judge_reply(Clarity=4)] * 2)
    await judge_of(model).judge("Q?", "A.", selection(), seed=5)
    await judge_of(model).judge("Another?", "Other.", selection(rationale="else"), seed=6)
    first, second = (request.prompt for request in model.requests)
    assert first[0] == second[0]
    assert first[1] != second[1]


async def test_an_unreadable_reply_is_repaired_once() -> None:
    model = ScriptedModel(["Quite good!", judge_reply(Clarity=4)])
    (score,) = await judge_of(model).judge("Q?", "A.", selection(), seed=5)
    assert score.score == 4
    assert len(model.requests) == 2


async def test_a_reply_unreadable_also_after_the_repair_is_malformed() -> None:
    model = ScriptedModel(["Quite good!", judge_reply(Clarity="fine")])
    with pytest.raises(MalformedReplyError, match="`scores` has to list"):
        await judge_of(model).judge("Q?", "A.", selection(), seed=5)


@pytest.mark.parametrize(
    "error",
    [RequestRefusedError("no", backend="b", status=400), BackendUnavailableError("gone", backend="b")],
)
async def test_a_failed_call_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await judge_of(ScriptedModel([error])).judge("Q?", "A.", selection(), seed=5)


async def test_a_harsh_judge_is_told_to_hunt_for_faults_in_the_same_material() -> None:
    model = ScriptedModel([judge_reply(Clarity=4)] * 2)
    harsh = Judge(model, sampling=GREEDY, harsh=True)
    await judge_of(model).judge("Q?", "A.", selection(), seed=5)
    (score,) = await harsh.judge("Q?", "A.", selection(), seed=5)
    assert score.score == 4
    fair, severe = (request.prompt for request in model.requests)
    assert fair[1] == severe[1]
    assert isinstance(severe[0], Message)
    assert severe[0].text.startswith("# Task: find the faults of an answer\n")
    assert harsh.template_version != judge_of(model).template_version


def test_the_template_version_can_be_recorded() -> None:
    assert (
        judge_of(ScriptedModel()).template_version == judge_of(ScriptedModel(name="other")).template_version
    )
    assert len(judge_of(ScriptedModel()).template_version) == 12
