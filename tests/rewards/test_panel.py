"""Several judges, averaged."""

import pytest

from optimizer.errors import (
    BackendUnavailableError,
    MalformedReplyError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.seeds import derive_seed
from optimizer.types import CriterionScore
from rewards.judge import Judge
from rewards.panel import JudgePanel
from tests.fakes.chat_model import Reply, ScriptedModel
from tests.rewards.builders import GREEDY, judge_reply, selection


def panel(**models: ScriptedModel) -> JudgePanel:
    return JudgePanel({name: Judge(model, sampling=GREEDY) for name, model in models.items()})


def says(*replies: Reply, name: str = "fake/model") -> ScriptedModel:
    return ScriptedModel(replies, name=name)


async def judged(**models: ScriptedModel) -> tuple[CriterionScore, ...]:
    return await panel(**models).judge("Q?", "A.", selection(), seed=5)


async def test_each_criterion_gets_the_mean_and_how_far_the_judges_are_apart() -> None:
    found = await judged(
        kind=says(judge_reply(Helpfulness=5, Clarity=4)), strict=says(judge_reply(Helpfulness=2, Clarity=4))
    )
    assert found == (
        CriterionScore(
            criterion="Helpfulness",
            score=3.5,
            rationale="kind (5): on Helpfulness\nstrict (2): on Helpfulness",
            spread=3,
        ),
        CriterionScore(
            criterion="Clarity", score=4, rationale="kind (4): on Clarity\nstrict (4): on Clarity", spread=0
        ),
    )


async def test_a_criterion_that_one_judge_left_out_has_the_others_score() -> None:
    helpfulness, clarity = await judged(
        kind=says(judge_reply(Helpfulness=5, Clarity=4)), strict=says(judge_reply(Clarity=2))
    )
    assert (helpfulness.score, helpfulness.spread) == (5, None)
    assert (clarity.score, clarity.spread) == (3, 2)


async def test_a_criterion_that_nobody_scored_is_missing() -> None:
    (clarity,) = await judged(
        kind=says(judge_reply(Clarity=4)), strict=says(judge_reply(Clarity=2, Helpfulness="?"))
    )
    assert clarity.criterion == "Clarity"


@pytest.mark.parametrize(
    "replies", [("?", "?"), (RequestRefusedError("no", backend="b"),), (judge_reply(Depth=1), "")]
)
async def test_a_judge_that_cannot_be_read_is_missing_and_not_zero(replies: tuple[Reply, ...]) -> None:
    helpfulness, clarity = await judged(
        kind=says(judge_reply(Helpfulness=5, Clarity=4)), broken=says(*replies)
    )
    assert (helpfulness.score, clarity.score) == (5, 4)


async def test_without_any_judge_the_reason_names_each() -> None:
    with pytest.raises(MalformedReplyError) as raised:
        await judged(kind=says("?", "?"), strict=says(RequestRefusedError("too rude", backend="b")))
    assert str(raised.value) == "kind: the reply holds no JSON object; strict: too rude"


@pytest.mark.parametrize(
    "error", [MisconfiguredError("wrong key", backend="b"), BackendUnavailableError("gone", backend="b")]
)
async def test_a_judge_that_is_away_ends_the_run_and_is_not_left_out(error: Exception) -> None:
    with pytest.raises(type(error)):
        await judged(kind=says(judge_reply(Clarity=4)), away=says(error))


async def test_each_judge_has_a_seed_of_its_own() -> None:
    kind, strict = says(judge_reply(Clarity=4)), says(judge_reply(Clarity=4))
    await judged(kind=kind, strict=strict)
    assert kind.requests[0].seed == derive_seed(5, "judge", "kind")
    assert strict.requests[0].seed == derive_seed(5, "judge", "strict")


def test_provenance_names_all_models_and_the_template_once() -> None:
    both = panel(kind=says(name="one/a"), strict=says(name="two/b"))
    assert both.model_name == "one/a + two/b"
    assert len(both.template_version) == 12
