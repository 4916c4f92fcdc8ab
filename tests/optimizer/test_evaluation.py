import asyncio
import dataclasses

import pytest

from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.events import EvaluationFinished
from optimizer.types import Candidate, CompletionRequest, Query, Score, Scored, Unscored
from tests.fakes.chat_model import Reply, ScriptedModel
from tests.fakes.search import (
    CountingModel,
    FakeScorer,
    Pause,
    hashed_score,
    no_pause,
    one_second,
    shuffled_pause,
)
from tests.fakes.virtual_time import run_virtually
from tests.optimizer.builders import make_queries
from tests.optimizer.searching import Search, answer_from_messages

CANDIDATE = Candidate(id="c1.0.0", system_prompt="Be brief.", parent_id="c0", round=1)


def refuse_question_one(request: CompletionRequest) -> Reply:
    assert not isinstance(request.prompt, str)
    if request.prompt[-1].text == "question 1":
        return RequestRefusedError("content filter", backend="fake", status=400)
    return answer_from_messages(request)


def test_evaluations_come_in_the_order_of_the_queries_whatever_finishes_first() -> None:
    queries = make_queries(6)
    target = CountingModel(ScriptedModel(answer_from_messages), shuffled_pause(3))
    search = Search(target=target, scorer=FakeScorer(pause=shuffled_pause(5)))
    step, _ = run_virtually(search.evaluator().evaluate(CANDIDATE, queries, round_number=4))
    assert step.candidate is CANDIDATE
    assert [item.rollout.query for item in step.evaluations] == list(queries)
    for item in step.evaluations:
        assert item.round == 4
        assert item.rollout.completion is not None
        assert item.rollout.completion.text == f"Be brief. / {item.rollout.query.text}"
        assert item.score == hashed_score(item.rollout.query, item.rollout.completion.text)


def test_all_rollouts_run_at_once_and_each_is_judged_as_it_arrives() -> None:
    target = CountingModel(ScriptedModel(answer_from_messages), one_second)
    search = Search(target=target, scorer=FakeScorer(pause=one_second))

    async def evaluate() -> None:
        evaluator = search.evaluator()
        queries = make_queries(9)
        async with asyncio.TaskGroup() as group:
            group.create_task(evaluator.prepare(queries))
            group.create_task(evaluator.evaluate(CANDIDATE, queries, round_number=1))

    assert run_virtually(evaluate())[1] == 2


async def test_every_evaluation_is_announced() -> None:
    search = Search()
    step = await search.evaluator().evaluate(CANDIDATE, make_queries(3), round_number=2)
    assert len(search.observer.events) == 3
    assert set(search.recorded().values()) == {
        EvaluationFinished(evaluation=item) for item in step.evaluations
    }


async def test_an_answer_that_was_refused_is_unscored_and_costs_no_judgement() -> None:
    scorer = FakeScorer()
    search = Search(target=ScriptedModel(refuse_question_one), scorer=scorer)
    step = await search.evaluator().evaluate(CANDIDATE, make_queries(3), round_number=1)
    assert [isinstance(item.score, Scored) for item in step.evaluations] == [True, False, True]
    assert step.evaluations[1].score == Unscored(reason="the target refused: content filter")
    assert [query_id for query_id, _ in scorer.judged] == ["q000", "q002"]
    assert len(search.observer.events) == 3


async def test_an_answer_that_cannot_be_judged_is_unscored() -> None:
    def verdict(query: Query, response: str) -> Score:
        return Unscored(reason="no JSON object")

    step = (
        await Search(scorer=FakeScorer(verdict))
        .evaluator()
        .evaluate(CANDIDATE, make_queries(1), round_number=1)
    )
    assert step.evaluations[0].score == Unscored(reason="no JSON object")
    assert step.evaluations[0].rollout.completion is not None


@pytest.mark.parametrize(
    "error",
    [
        BackendUnavailableError("gone", backend="fake"),
        MisconfiguredError("no key", backend="fake", status=401),
        BudgetExceededError("cost"),
    ],
)
async def test_a_target_that_cannot_be_used_is_an_error(error: Exception) -> None:
    search = Search(target=ScriptedModel(lambda request: error))
    with pytest.raises(type(error)) as caught:
        await search.evaluator().evaluate(CANDIDATE, make_queries(3), round_number=1)
    assert caught.value is error


async def test_a_judge_that_cannot_be_reached_is_an_error() -> None:
    gone = BackendUnavailableError("gone", backend="judge")

    def verdict(query: Query, response: str) -> Score:
        raise gone

    with pytest.raises(BackendUnavailableError) as caught:
        await (
            Search(scorer=FakeScorer(verdict))
            .evaluator()
            .evaluate(CANDIDATE, make_queries(2), round_number=1)
        )
    assert caught.value is gone


def test_each_judge_call_has_a_seed_of_its_own_that_does_not_depend_on_order() -> None:
    async def seeds(pause: Pause) -> dict[str, int]:
        scorer = FakeScorer()
        search = Search(scorer=scorer, target=CountingModel(ScriptedModel(answer_from_messages), pause))
        await search.evaluator().evaluate(CANDIDATE, make_queries(5), round_number=1)
        return dict(zip((query_id for query_id, _ in scorer.judged), scorer.seeds, strict=True))

    in_order, _ = run_virtually(seeds(no_pause))
    shuffled, _ = run_virtually(seeds(shuffled_pause(8)))
    assert list(in_order) != list(shuffled)
    assert in_order == shuffled
    assert len(set(in_order.values())) == 5


async def test_the_same_prompt_on_the_same_query_is_the_same_call_and_another_draw_is_another() -> None:
    scorer, target = FakeScorer(), ScriptedModel(answer_from_messages)
    evaluator = Search(scorer=scorer, target=target).evaluator()
    twin = dataclasses.replace(CANDIDATE, id="c9.9.9", round=9)
    for candidate, round_number, draw in ((CANDIDATE, 1, 0), (twin, 9, 0), (CANDIDATE, 1, 1)):
        await evaluator.evaluate(candidate, make_queries(1), round_number=round_number, draw=draw)
    assert target.requests[0] == target.requests[1] != target.requests[2]
    assert scorer.seeds[0] == scorer.seeds[1] != scorer.seeds[2]


async def test_preparing_selects_criteria_for_every_query() -> None:
    scorer = FakeScorer()
    await Search(scorer=scorer).evaluator().prepare(make_queries(3))
    assert sorted(scorer.prepared) == ["q000", "q001", "q002"]
