"""A reward of several parts."""

import json

import pytest

from optimizer.types import Completion, CriterionScore, Query, Score, Scored, ScoreSource, Unscored
from rewards.checks.check import Check, Verdict
from rewards.checks.json_schema import MAX_ANSWER, JsonSchemaRule
from rewards.checks.patterns import PatternRule
from rewards.composite import CompositeScorer, CriterionWeights
from rewards.external import ExternalScorer
from rewards.judge import Judge
from rewards.own_criteria import OwnCriteriaSelector
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector
from tests.fakes.chat_model import Reply, ScriptedModel
from tests.rewards.builders import ANSWER, CATALOG, GREEDY, QUERY, judge_reply, names, selector_reply

MINUTES = Check(name="Minutes", rule=PatternRule("minutes"), weight=2)
GATE = Check(name="No soup", rule=PatternRule("soup", wanted=False), required=True)
ENDLESS = Check(name="Form", rule=JsonSchemaRule({}))
LONG = Completion(text="minutes " * (MAX_ANSWER // 8 + 1))


def composite(
    judge: ScriptedModel,
    *,
    weights: dict[str, float] | None = None,
    checks: tuple[Check, ...] = (),
    service: ScriptedModel | None = None,
    service_weight: float = 1.0,
    judged: bool = True,
) -> CompositeScorer:
    selector = ScriptedModel(lambda _: selector_reply("Helpfulness", "Clarity"))
    chooser = OwnCriteriaSelector(
        [],
        catalog=CATALOG,
        keep_catalogue=judged,
        taken=(),
        make=lambda catalog, new: Selector(selector, catalog=catalog, sampling=GREEDY, max_new_criteria=new),
    )
    external = None
    if service is not None:
        external = ExternalScorer(model=service, name="Tone", weight=service_weight)
    return CompositeScorer(
        DynamicRewardScorer(chooser, Judge(judge, sampling=GREEDY), seed=7),
        weights=CriterionWeights(weights or {}),
        checks=checks,
        external=external,
        terms={"rewards_version": "v1"},
    )


def says(**scores: float) -> ScriptedModel:
    return ScriptedModel(lambda _: judge_reply(**scores))


def replies(score: object) -> ScriptedModel:
    return ScriptedModel(lambda _: json.dumps({"score": score, "rationale": "r"}))


async def score(scorer: CompositeScorer, response: Completion = ANSWER, query: Query = QUERY) -> Score:
    await scorer.prepare(query)
    return await scorer.score(query, response, seed=1)


async def test_all_parts_count_by_their_weight_and_say_where_they_come_from() -> None:
    judge = says(Helpfulness=4, Clarity=2)
    found = await score(composite(judge, weights={"helpfulness": 3}, checks=(MINUTES,), service=replies(1)))
    assert isinstance(found, Scored)
    assert found.reward == (3 * 4 + 1 * 2 + 2 * 5 + 1 * 1) / 7
    assert [(item.criterion, item.weight, item.source) for item in found.criteria] == [
        ("Helpfulness", 3, ScoreSource.JUDGE),
        ("Clarity", 1, ScoreSource.JUDGE),
        ("Tone", 1, ScoreSource.HTTP),
        ("Minutes", 2, ScoreSource.CHECK),
    ]
    assert found.selection_rationale == "These decide."


async def test_a_weight_of_0_is_judged_and_shown_and_does_not_count() -> None:
    found = await score(composite(says(Helpfulness=5, Clarity=1), weights={"Clarity": 0}))
    assert isinstance(found, Scored)
    assert found.reward == 5
    assert [item.weight for item in found.criteria] == [1, 0]


async def test_the_service_hears_of_the_criteria_and_their_weights() -> None:
    service = replies(3)
    await score(composite(says(Helpfulness=5, Clarity=1), weights={"Clarity": 0}, service=service))
    (request,) = service.requests
    assert isinstance(request.prompt, str)
    sent = json.loads(request.prompt)
    assert [(item["name"], item["weight"]) for item in sent["criteria"]] == [
        ("Helpfulness", 1),
        ("Clarity", 0),
    ]
    assert sent["answer"] == ANSWER.text


async def test_a_failed_gate_decides_and_nobody_is_asked_any_more() -> None:
    judge, service = says(Helpfulness=5, Clarity=5), replies(5)
    scorer = composite(judge, checks=(MINUTES, GATE, ENDLESS), service=service)
    found = await score(scorer, Completion(text="soup " + LONG.text))
    assert isinstance(found, Scored)
    assert found.reward == 1
    assert [item.criterion for item in found.criteria] == ["Minutes", "No soup"]
    assert not judge.requests
    assert not service.requests
    assert isinstance(await score(composite(judge, checks=(GATE,))), Scored)
    assert len(judge.requests) == 1


@pytest.mark.parametrize("replied", [("?", "?"), (judge_reply(Depth=3), "")])
async def test_without_its_judged_part_a_response_is_unscored_whatever_the_checks_say(
    replied: tuple[Reply, ...],
) -> None:
    found = await score(composite(ScriptedModel(replied), checks=(MINUTES,)))
    assert isinstance(found, Unscored)
    assert found.reason.startswith("the judge's reply could not be read")


async def test_the_judged_part_is_missing_where_only_what_does_not_count_was_scored() -> None:
    found = await score(composite(says(Clarity=5), weights={"Clarity": 0}, checks=(MINUTES,)))
    assert found == Unscored(reason="no judged criterion that counts was scored")


async def test_a_judged_part_that_does_not_count_may_be_missing() -> None:
    scorer = composite(ScriptedModel(["?", "?"]), weights={"Clarity": 0, "Helpfulness": 0}, checks=(MINUTES,))
    found = await score(scorer)
    assert isinstance(found, Scored)
    assert found.reward == 5


async def test_without_the_services_score_a_response_is_unscored_unless_it_does_not_count() -> None:
    judge = says(Helpfulness=4, Clarity=4)
    assert await score(composite(judge, service=replies("high"))) == Unscored(
        reason="Tone: `score` has to be a number from 1 to 5"
    )
    found = await score(composite(judge, service=replies("high"), service_weight=0))
    assert isinstance(found, Scored)
    assert found.reward == 4


async def test_without_a_checks_verdict_a_response_is_unscored_unless_it_does_not_count() -> None:
    judge = says(Helpfulness=4, Clarity=4)
    found = await score(composite(judge, checks=(ENDLESS,)), LONG)
    assert isinstance(found, Unscored)
    assert found.reason.startswith("Form: ")
    gate = Check(name="Form", rule=JsonSchemaRule({}), weight=0, required=True)
    assert isinstance(await score(composite(judge, checks=(gate,)), LONG), Unscored)
    aside = Check(name="Form", rule=JsonSchemaRule({}), weight=0)
    assert isinstance(await score(composite(judge, checks=(aside,)), LONG), Scored)


async def test_checks_alone_need_no_model_and_kinds_are_kept_apart() -> None:
    code = Check(name="Code", rule=PatternRule("def"), kinds=frozenset({"code"}))
    scorer = composite(ScriptedModel(), checks=(MINUTES, code), judged=False)
    found = await score(scorer)
    assert isinstance(found, Scored)
    assert [item.criterion for item in found.criteria] == ["Minutes"]
    found = await score(scorer, query=Query(id="q2", text="Sort.", kind="code"))
    assert isinstance(found, Scored)
    assert found.reward == (2 * 5 + 1) / 3


async def test_pairs_are_compared_by_what_counts() -> None:
    scorer = composite(ScriptedModel(), weights={"Clarity": 0})
    assert names((await scorer.selection(QUERY)).criteria) == ["Helpfulness"]


def test_provenance_adds_the_terms_of_the_request() -> None:
    told = composite(ScriptedModel()).provenance()
    assert told["rewards_version"] == "v1"
    assert told["judge_model"] == "fake/scripted"


def test_names_of_weights_are_matched_loosely() -> None:
    weights = CriterionWeights({"critical thinking": 2})
    assert (weights.of("Critical-Thinking"), weights.of("Depth")) == (2, 1)


def test_a_verdict_is_what_a_rule_says() -> None:
    assert MINUTES.rule.judge("minutes") == Verdict(
        score=5, rationale='The pattern occurs at character 1: "minutes"'
    )
    assert isinstance(MINUTES.score("x"), CriterionScore)
