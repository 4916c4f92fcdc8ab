"""The dynamic reward as a whole."""

import asyncio

import pytest

from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    DrpoError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.seeds import derive_seed
from optimizer.types import Completion, CompletionRequest, CriterionScore, Query, Scored, Unscored
from tests.fakes.chat_model import ScriptedModel
from tests.rewards.builders import ANSWER, CATALOG, QUERY, judge_reply, names, scorer_of, selector_reply


def selector_model() -> ScriptedModel:
    return ScriptedModel([selector_reply("Helpfulness", "Clarity", reasoning="Eggs.")], name="fake/selector")


async def test_a_response_gets_the_mean_of_its_criteria() -> None:
    scorer = scorer_of(selector_model(), ScriptedModel([judge_reply(Helpfulness=5, Clarity=2)]))
    assert await scorer.score(QUERY, ANSWER, seed=1) == Scored(
        reward=3.5,
        criteria=(
            CriterionScore(criterion="Helpfulness", score=5, rationale="on Helpfulness"),
            CriterionScore(criterion="Clarity", score=2, rationale="on Clarity"),
        ),
        selection_rationale="Eggs.",
    )


async def test_the_mean_is_over_what_the_judge_scored() -> None:
    scorer = scorer_of(selector_model(), ScriptedModel([judge_reply(Helpfulness=None, Clarity=2)]))
    score = await scorer.score(QUERY, ANSWER, seed=1)
    assert isinstance(score, Scored)
    assert score.reward == 2


async def test_an_empty_response_is_judged_too() -> None:
    judge = ScriptedModel([judge_reply(Helpfulness=1, Clarity=1)])
    score = await scorer_of(selector_model(), judge).score(QUERY, Completion(text=""), seed=1)
    assert isinstance(score, Scored)
    assert score.reward == 1
    assert len(judge.requests) == 1


async def test_preparing_selects_once_and_scoring_uses_it() -> None:
    selector = selector_model()
    scorer = scorer_of(selector, ScriptedModel(lambda _: judge_reply(Clarity=4)))
    assert scorer.selection_for(QUERY) is None
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(scorer.prepare(QUERY))
            group.create_task(scorer.score(QUERY, ANSWER, seed=1))
    await scorer.prepare(QUERY)
    assert len(selector.requests) == 1
    selection = scorer.selection_for(QUERY)
    assert selection is not None
    assert names(selection.criteria) == ["Helpfulness", "Clarity"]


async def test_all_responses_to_a_query_are_judged_on_the_same_criteria_also_on_the_fallback_set() -> None:
    selector = ScriptedModel(["?", "?", selector_reply("Safety", "Depth")])
    scorer = scorer_of(selector, ScriptedModel(lambda _: judge_reply(Factuality=4)))
    await scorer.prepare(QUERY)
    for seed in range(2):
        score = await scorer.score(QUERY, ANSWER, seed=seed)
        assert isinstance(score, Scored)
        assert [item.criterion for item in score.criteria] == ["Factuality"]
    assert len(selector.requests) == 2


async def test_the_seeds_come_from_the_run_the_query_and_the_rollout() -> None:
    selector = ScriptedModel(lambda _: selector_reply("Helpfulness", "Clarity"))
    judge = ScriptedModel(lambda _: judge_reply(Clarity=4))
    scorer = scorer_of(selector, judge, seed=7)
    await scorer.score(QUERY, ANSWER, seed=11)
    await scorer.score(Query(id="q2", text="Another?"), ANSWER, seed=12)
    assert [request.seed for request in selector.requests] == [
        derive_seed(7, "selector", "q1"),
        derive_seed(7, "selector", "q2"),
    ]
    assert [request.seed for request in judge.requests] == [11, 12]


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        (["?", "?"], "the judge's reply could not be read: the reply holds no JSON object"),
        ([RequestRefusedError("content\nfilter\x00", backend="b")], "the judge refused: content\nfilter"),
        (
            ["?", RequestRefusedError("too long", backend="b")],
            "the judge's reply could not be read: the repair request was refused: too long",
        ),
    ],
)
async def test_a_refusal_or_an_unreadable_reply_of_the_judge_leaves_the_response_unscored(
    replies: list[str | BaseException], reason: str
) -> None:
    score = await scorer_of(selector_model(), ScriptedModel(replies)).score(QUERY, ANSWER, seed=1)
    assert score == Unscored(reason=reason)


FATAL = [
    MisconfiguredError("wrong key", backend="b", status=401),
    BackendUnavailableError("gone", backend="b"),
    BudgetExceededError("calls"),
]


@pytest.mark.parametrize("error", FATAL)
async def test_what_ends_a_run_is_raised_whoever_was_asked(error: DrpoError) -> None:
    with pytest.raises(type(error)):
        await scorer_of(selector_model(), ScriptedModel([error])).score(QUERY, ANSWER, seed=1)
    with pytest.raises(type(error)):
        await scorer_of(ScriptedModel([error]), ScriptedModel()).prepare(QUERY)


async def test_provenance_names_models_versions_and_where_the_criteria_came_from() -> None:
    def reply(request: CompletionRequest) -> str:
        asks_for_unreadable = "unreadable" in request.prompt[1].text  # type: ignore[union-attr]
        return "?" if asks_for_unreadable else selector_reply("Helpfulness", "Clarity")

    scorer = scorer_of(ScriptedModel(reply, name="one/selector"), ScriptedModel(name="two/judge"))
    await scorer.prepare(QUERY)
    await scorer.prepare(Query(id="q2", text="Another?"))
    await scorer.prepare(Query(id="q3", text="unreadable"))
    provenance = scorer.provenance()
    assert set(provenance) == {
        "selector_model",
        "selector_template_version",
        "judge_model",
        "judge_template_version",
        "catalogue_version",
        "selections",
    }
    assert provenance["selector_model"] == "one/selector"
    assert provenance["judge_model"] == "two/judge"
    assert provenance["catalogue_version"] == CATALOG.version
    assert CATALOG.version in str(provenance["selector_template_version"])
    assert provenance["selections"] == {"selected": 2, "fallback": 1}
