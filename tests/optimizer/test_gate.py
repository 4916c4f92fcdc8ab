from collections import Counter
from collections.abc import Sequence

import pytest
from typing_extensions import override

from optimizer.errors import BackendUnavailableError, BudgetExceededError
from optimizer.evaluation import HELD_OUT_ROUND
from optimizer.events import EvaluationFinished
from optimizer.gate import (
    Contest,
    GateOutcome,
    SecondJudge,
    judge_again,
    not_compared,
    nothing_found,
    run_gate,
)
from optimizer.gate_config import GateConfig
from optimizer.held_out import Contender
from optimizer.protocols import Pace
from optimizer.types import Candidate, Completion, CompletionRequest, Query, Score, Unscored
from optimizer.verdicts import Verdict
from tests.fakes.chat_model import Reply, ScriptedModel
from tests.fakes.search import CountingModel, FakeScorer, one_second, scored, shuffled_pause
from tests.fakes.virtual_time import run_virtually
from tests.optimizer.builders import make_queries
from tests.optimizer.contests import answered
from tests.optimizer.searching import Search, answer_from_messages, evaluations_of, failing_after

SEED = Candidate(id="c0", system_prompt="seed")
OLD = Candidate(id="incumbent", system_prompt="old")
NEW = Candidate(id="c3.0.1", system_prompt="new", parent_id="c0", round=3)
OTHER = Candidate(id="c3.0.2", system_prompt="other", parent_id="c0", round=3)
CONFIG = GateConfig(safety_kinds=(), safety_criteria=())
Rewards = Sequence[float | None]


class AtOnce(Pace):
    """At most so many queries under way."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.asked: list[tuple[int, int]] = []

    @override
    def may_begin(self, *, ended: int, under_way: int) -> bool:
        self.asked.append((ended, under_way))
        return under_way < self.most


def scorer_of(**rewards: Rewards) -> FakeScorer:
    """Gives the answers under each prompt these rewards, query by query."""

    def verdict(query: Query, response: str) -> Score:
        reward = rewards[response.partition(" / ")[0]][int(query.id[1:])]
        return Unscored(reason="not read") if reward is None else scored(reward)

    return FakeScorer(verdict)


def contest(search: Search, *finalists: Candidate, seed: Candidate | None = None) -> Contest:
    evaluator = search.evaluator()
    return Contest(
        incumbent=Contender(candidate=OLD, evaluator=evaluator),
        finalists=tuple(Contender(candidate=item, evaluator=evaluator) for item in finalists or (NEW,)),
        seed_prompt=None if seed is None else Contender(candidate=seed, evaluator=evaluator),
    )


def second(scorer: FakeScorer | None = None, *, answers: int = 0) -> SecondJudge:
    return SecondJudge(scorer=scorer or FakeScorer(), answers=answers, seed=1)


async def compare(search: Search, queries: int, *finalists: Candidate) -> GateOutcome:
    return await run_gate(contest(search, *finalists), make_queries(queries), CONFIG, second(), AtOnce())


async def test_all_finalists_meet_the_incumbent_on_the_same_queries() -> None:
    search = Search(scorer=scorer_of(old=[3.0] * 9, new=[3.5] * 9, other=[4.5] * 9))
    outcome = await compare(search, 9, NEW, OTHER)
    assert outcome.conclusion.verdict is Verdict.PROMOTED
    assert outcome.conclusion.chosen is not None
    assert outcome.conclusion.chosen.candidate_id == OTHER.id
    asked = [(item.rollout.candidate_id, item.rollout.query.id) for item in evaluations_of(search)]
    assert sorted(asked) == sorted(
        (candidate.id, query.id) for candidate in (OLD, NEW, OTHER) for query in make_queries(9)
    )


async def test_the_seed_prompt_answers_once_more_and_is_compared_as_well() -> None:
    search = Search(scorer=scorer_of(old=[3.0] * 9, seed=[2.0] * 9, new=[4.0] * 9))
    held = contest(search, NEW, seed=SEED)
    assert held.has_seed_prompt_apart
    outcome = await run_gate(held, make_queries(9), CONFIG, second(), AtOnce())
    assert outcome.conclusion.seed_gain is not None
    assert outcome.conclusion.seed_gain.mean == 2
    assert len(evaluations_of(search)) == 27


async def test_a_seed_prompt_among_the_finalists_answers_once() -> None:
    search = Search(scorer=scorer_of(old=[3.0] * 9, seed=[4.0] * 9))
    held = contest(search, SEED, seed=SEED)
    assert (held.has_seed_prompt_apart, len(held.contenders)) == (False, 2)
    outcome = await run_gate(held, make_queries(9), CONFIG, second(), AtOnce())
    assert (outcome.conclusion.verdict, outcome.conclusion.seed_gain) == (Verdict.PROMOTED, None)
    assert len(evaluations_of(search)) == 18


async def test_an_incumbent_may_have_examples_of_its_own() -> None:
    plain = Search(scorer=FakeScorer(lambda query, response: scored(4)))
    shown = Search(
        target=ScriptedModel(lambda _: "seen"), scorer=FakeScorer(lambda query, response: scored(3))
    )
    held = Contest(
        incumbent=Contender(candidate=OLD, evaluator=shown.evaluator()),
        finalists=(Contender(candidate=NEW, evaluator=plain.evaluator()),),
    )
    outcome = await run_gate(held, make_queries(10), CONFIG, second(), AtOnce())
    assert outcome.conclusion.verdict is Verdict.PROMOTED
    assert [evaluation.rollout.candidate_id for evaluation in evaluations_of(shown)] == [OLD.id] * 10
    assert [evaluation.rollout.candidate_id for evaluation in evaluations_of(plain)] == [NEW.id] * 10


def test_all_prompts_and_the_selections_run_at_once_and_the_second_judgements_after_them() -> None:
    target = CountingModel(ScriptedModel(answer_from_messages), one_second)
    scorer = FakeScorer(lambda query, response: scored(3), pause=one_second)
    search = Search(target=target, scorer=scorer)
    again = second(FakeScorer(lambda query, response: scored(3), pause=one_second), answers=10)
    gate = run_gate(contest(search, NEW, OTHER), make_queries(12), CONFIG, again, AtOnce())
    _, seconds = run_virtually(gate)
    assert seconds == 2 + 2, "the fake's own preparation takes a second"
    assert target.requests == len(scorer.judged) == 36
    assert scorer.prepared.total() == 12


async def test_the_gates_evaluations_are_told_from_those_of_the_search() -> None:
    search = Search(scorer=scorer_of(old=[3.0] * 8, new=[4.0] * 8))
    await compare(search, 8)
    events = [event for event in search.observer.events if isinstance(event, EvaluationFinished)]
    assert {event.evaluation.round for event in events} == {HELD_OUT_ROUND}
    assert len({event.key for event in events}) == 16


async def test_a_sample_of_all_answers_is_judged_again_and_the_same_one_in_every_attempt() -> None:
    rewards = {name: [1.0, 2.0, 3.0, 4.0, 5.0, 2.0, 3.0, 4.0] for name in ("old", "new")}
    judged = []
    for _ in range(2):
        other = scorer_of(**rewards)
        search = Search(scorer=scorer_of(**rewards))
        outcome = await run_gate(
            contest(search), make_queries(8), CONFIG, second(other, answers=10), AtOnce()
        )
        assert (outcome.judge.judged_again, outcome.judge.agreement) == (10, 1.0)
        judged.append((sorted(other.judged), sorted(other.seeds)))
    assert judged[0] == judged[1]
    assert len(set(judged[0][0])) == len(set(judged[0][1])) == 10
    prompts = {text.partition(" / ")[0] for _, text in judged[0][0]}
    assert prompts == {"old", "new"}


async def test_only_answers_with_a_score_are_judged_again() -> None:
    other = FakeScorer()
    steps = [answered("a", [3.0, None, 4.0]), answered("b", [None, None, None])]
    found = await judge_again(steps, second(other, answers=10))
    assert sorted(item.first.rollout.query.id for item in found) == ["q0", "q2"]
    assert await judge_again(steps, second(other, answers=0)) == []


async def test_a_judgement_that_the_budget_does_not_reach_is_missing() -> None:
    class Broke(FakeScorer):
        @override
        async def score(self, query: Query, response: Completion, *, seed: int) -> Score:
            raise BudgetExceededError("calls")

    (found,) = await judge_again([answered("a", [3.0])], second(Broke(), answers=1))
    assert found.second == Unscored(reason="the budget of calls does not allow another call")


async def test_queries_that_the_budget_does_not_reach_lack_a_score_and_the_others_are_compared() -> None:
    target = ScriptedModel(failing_after(18, BudgetExceededError("calls")))
    search = Search(target=target, scorer=scorer_of(old=[3.0, 3.5] * 5, new=[4.0, 4.5] * 5))
    chosen = (await compare(search, 10)).conclusion.chosen
    assert chosen is not None
    assert chosen.gain is not None
    assert (chosen.gain.pairs, chosen.missing, chosen.gain.mean) == (9, 1, 1.0)
    assert chosen.reward == pytest.approx((5 * 4.0 + 4 * 4.5) / 9)
    events = [event for event in search.observer.events if isinstance(event, EvaluationFinished)]
    assert len(events) == 18, "every evaluation that was paid for is announced, and no other"


@pytest.mark.parametrize("most", [0, 1, 3])
def test_a_budget_that_ends_in_the_middle_leaves_only_queries_under_way_half_done(most: int) -> None:
    """Each of three prompts takes an answer and a score for every query; the calls are for seven of nine."""
    left = 7 * 6 + 3

    def spend() -> None:
        nonlocal left
        if not left:
            raise BudgetExceededError("calls")
        left -= 1

    class Paid(FakeScorer):
        @override
        async def score(self, query: Query, response: Completion, *, seed: int) -> Score:
            spend()
            return await super().score(query, response, seed=seed)

    def answer(request: CompletionRequest) -> Reply:
        spend()
        return answer_from_messages(request)

    target = CountingModel(ScriptedModel(answer), shuffled_pause(most))
    search = Search(target=target, scorer=Paid(lambda query, response: scored(3), pause=one_second))
    pace = AtOnce(most)
    gate = run_gate(contest(search, NEW, OTHER), make_queries(9), CONFIG, second(), pace)
    run_virtually(gate)
    scores = Counter(item.rollout.query.id for item in evaluations_of(search))
    complete = [query for query, count in scores.items() if count == 3]
    assert left == 0
    assert len(complete) >= 7 - max(0, most - 1)
    assert len(scores) - len(complete) <= max(1, most)
    if most <= 1:
        assert complete == [query.id for query in make_queries(7)]
    assert max(under_way for _, under_way in pace.asked) <= max(1, most)


async def test_a_comparison_that_the_budget_does_not_reach_says_so() -> None:
    class Unprepared(FakeScorer):
        @override
        async def prepare(self, query: Query) -> None:
            raise BudgetExceededError("tokens")

    found = (await compare(Search(scorer=Unprepared()), 8)).conclusion
    assert found.chosen is not None
    assert (found.verdict, found.chosen.missing) == (Verdict.NOT_ENOUGH_EVIDENCE, 8)
    assert "the budget of tokens does not allow another call" in found.reason


async def test_a_comparison_on_a_backend_that_is_away_is_an_error() -> None:
    error = BackendUnavailableError("gone", backend="fake")
    search = Search(target=ScriptedModel(lambda request: error))
    with pytest.raises(BackendUnavailableError) as caught:
        await compare(search, 8)
    assert caught.value is error


def test_a_comparison_that_was_not_made_says_why() -> None:
    found = not_compared("the budget did not reach to the gate")
    assert (found.verdict, found.chosen) == (Verdict.NOT_ENOUGH_EVIDENCE, None)
    assert found.reason == "the budget did not reach to the gate"
    assert nothing_found().verdict is Verdict.KEPT
