import math
from collections.abc import Sequence

import pytest
from typing_extensions import override

from optimizer.errors import BackendUnavailableError, BudgetExceededError
from optimizer.evaluation import HELD_OUT_ROUND
from optimizer.events import EvaluationFinished, GateFinished
from optimizer.gate import (
    KEPT,
    MAX_EXTRA_MISSING_SHARE,
    MAX_MISSING_SHARE,
    MIN_PAIRS,
    NOT_ENOUGH_EVIDENCE,
    PROMOTED,
    not_compared,
    run_gate,
)
from optimizer.statistics import paired_difference
from optimizer.types import Candidate, Query, Score, Unscored
from tests.fakes.chat_model import ScriptedModel
from tests.fakes.search import CountingModel, FakeScorer, one_second, scored
from tests.fakes.virtual_time import run_virtually
from tests.optimizer.builders import make_queries
from tests.optimizer.searching import Search, answer_from_messages, evaluations_of, failing_after

OLD = Candidate(id="c0", system_prompt="old")
NEW = Candidate(id="c3.0.1", system_prompt="new", parent_id="c0", round=3)


def scorer_of(old: Sequence[float | None], new: Sequence[float | None]) -> FakeScorer:
    """Gives the old and the new prompt these rewards, query by query."""

    def verdict(query: Query, response: str) -> Score:
        reward = (old if response.startswith("old / ") else new)[int(query.id[1:])]
        return Unscored(reason="not read") if reward is None else scored(reward)

    return FakeScorer(verdict)


async def compare(old: Sequence[float | None], new: Sequence[float | None]) -> GateFinished:
    search = Search(scorer=scorer_of(old, new))
    return await run_gate(search.evaluator(), incumbent=OLD, winner=NEW, held_out=make_queries(len(old)))


async def test_a_prompt_that_is_better_on_every_query_is_promoted() -> None:
    finished = await compare([3.0, 2.0] * 4, [4.0, 3.5] * 4)
    assert finished.verdict == PROMOTED
    assert (finished.queries, finished.baseline_reward, finished.candidate_reward) == (8, 2.5, 3.75)
    assert finished.difference == 1.25
    assert finished.low is not None
    assert 0 < finished.low < 1.25
    assert finished.reason == "better on 8 held-out queries: +1.25 [+1.03, +1.47]"


async def test_a_prompt_that_is_worse_is_not_promoted() -> None:
    finished = await compare([4.0, 3.5] * 4, [3.0, 2.0] * 4)
    assert finished.verdict == KEPT
    assert finished.high is not None
    assert finished.high < 0
    assert finished.reason == "not better on 8 held-out queries: -1.25 [-1.47, -1.03]"


async def test_a_prompt_that_is_just_as_good_everywhere_is_not_promoted() -> None:
    finished = await compare([4.0] * 8, [4.0] * 8)
    assert (finished.verdict, finished.low, finished.high) == (KEPT, 0, 0)


async def test_an_interval_that_holds_zero_is_not_enough_evidence() -> None:
    finished = await compare([3.0, 3.0] * 4, [5.0, 2.0] * 4)
    assert finished.verdict == NOT_ENOUGH_EVIDENCE
    assert finished.low is not None
    assert finished.high is not None
    assert finished.low < 0 < finished.high
    assert finished.reason.startswith("the interval on 8 held-out queries holds zero: +0.50 [")


@pytest.mark.parametrize("pairs", [1, 2, MIN_PAIRS - 1])
async def test_few_pairs_promote_nothing_however_good_they_look(pairs: int) -> None:
    finished = await compare([1.0] * pairs, [5.0] * pairs)
    assert finished.verdict == NOT_ENOUGH_EVIDENCE
    assert finished.queries == pairs
    assert finished.difference == 4
    assert (finished.low is None) == (pairs == 1)
    assert finished.reason == f"{pairs} held-out queries were scored for both prompts, 8 are needed"


async def test_only_queries_scored_for_both_prompts_are_compared() -> None:
    old, new = [3.0] * 9, [4.0, 3.5] * 4 + [4.0]
    finished = await compare([*old, None, 5.0], [*new, 1.0, None])
    assert (finished.queries, finished.missing) == (9, 2)
    assert finished.baseline_reward == 3
    assert finished.candidate_reward == pytest.approx(34 / 9)
    expected = paired_difference(old, new)
    assert (finished.difference, finished.low, finished.high) == (expected.mean, expected.low, expected.high)
    assert finished.verdict == PROMOTED


async def test_a_winner_that_is_refused_on_most_queries_is_not_promoted_on_the_rest() -> None:
    finished = await compare([3.0] * 30, [4.0] * 9 + [None] * 21)
    assert finished.verdict == NOT_ENOUGH_EVIDENCE
    assert finished.reason == (
        "too many of the 30 held-out queries lack a score: 21 for the winner, 0 for the incumbent"
    )
    assert (finished.queries, finished.missing) == (9, 21)
    assert (finished.baseline_reward, finished.candidate_reward, finished.difference) == (3, 4, 1)
    assert finished.low is not None
    assert finished.low > 0, "the numbers alone would promote it"


async def test_an_incumbent_that_could_not_be_scored_is_no_evidence_for_the_winner() -> None:
    finished = await compare([3.0] * 14 + [None] * 6, [4.0] * 20)
    assert finished.verdict == NOT_ENOUGH_EVIDENCE
    assert finished.reason.endswith("0 for the winner, 6 for the incumbent")


async def test_queries_that_each_side_lacks_count_together() -> None:
    finished = await compare([None] * 3 + [3.0] * 17, [4.0] * 17 + [None] * 3)
    assert (finished.verdict, finished.missing) == (NOT_ENOUGH_EVIDENCE, 6)
    assert finished.reason.endswith("3 for the winner, 3 for the incumbent")


async def test_a_winner_that_lacks_many_more_scores_than_the_incumbent_is_not_promoted() -> None:
    finished = await compare([3.0] * 30, [4.0] * 26 + [None] * 4)
    assert finished.missing <= MAX_MISSING_SHARE * 30
    assert finished.verdict == NOT_ENOUGH_EVIDENCE
    assert finished.reason == (
        "the winner lacks a score on many more of the 30 held-out queries: "
        "4 for the winner, 0 for the incumbent"
    )


@pytest.mark.parametrize(("old", "new"), [(0, 3), (6, 0), (3, 6), (6, 6)])
async def test_few_missing_scores_on_both_sides_alike_do_no_harm(old: int, new: int) -> None:
    """Those that lack a score are the same queries on both sides."""
    assert max(old, new) == MAX_MISSING_SHARE * 30 or new - old == MAX_EXTRA_MISSING_SHARE * 30
    finished = await compare([None] * old + [3.0] * (30 - old), [None] * new + [4.0] * (30 - new))
    assert (finished.verdict, finished.missing) == (PROMOTED, max(old, new))


@pytest.mark.parametrize(("queries", "why"), [(0, ""), (10, ": not read")])
async def test_without_a_query_scored_for_both_there_is_no_verdict(queries: int, why: str) -> None:
    finished = await compare([None] * queries, [4.0] * queries)
    assert finished == GateFinished(
        verdict=NOT_ENOUGH_EVIDENCE, queries=0, missing=queries, baseline_reward=None, candidate_reward=None,
        difference=None, low=None, high=None, reason=f"no held-out query was scored for both prompts{why}",
    )  # fmt: skip


async def test_the_same_prompt_is_not_compared_with_itself() -> None:
    target = CountingModel(ScriptedModel(answer_from_messages))
    search = Search(target=target)
    twin = Candidate(id="c1.0.0", system_prompt=OLD.system_prompt, parent_id="c0", round=1)
    finished = await run_gate(search.evaluator(), incumbent=OLD, winner=twin, held_out=make_queries(10))
    assert (finished.verdict, finished.queries, target.requests) == (KEPT, 0, 0)
    assert finished.reason == "the search found nothing better than the prompt it started from"


async def test_the_same_prompt_with_other_examples_is_compared() -> None:
    """An incumbent with another example bank is another system, whatever its prompt."""
    plain = Search(scorer=FakeScorer(lambda query, response: scored(4)))
    shown = Search(
        target=ScriptedModel(lambda _: "seen"), scorer=FakeScorer(lambda query, response: scored(3))
    )
    twin = Candidate(id="c1.0.0", system_prompt=OLD.system_prompt, parent_id="c0", round=1)
    finished = await run_gate(
        plain.evaluator(),
        incumbent=OLD,
        winner=twin,
        held_out=make_queries(10),
        incumbent_evaluator=shown.evaluator(),
    )
    assert (finished.verdict, finished.queries, finished.difference) == (PROMOTED, 10, 1)
    assert [evaluation.rollout.candidate_id for evaluation in evaluations_of(shown)] == ["c0"] * 10
    assert [evaluation.rollout.candidate_id for evaluation in evaluations_of(plain)] == ["c1.0.0"] * 10


def test_both_prompts_and_the_selections_run_at_once() -> None:
    target = CountingModel(ScriptedModel(answer_from_messages), one_second)
    scorer = FakeScorer(lambda query, response: scored(3), pause=one_second)
    search = Search(target=target, scorer=scorer)
    gate = run_gate(search.evaluator(), incumbent=OLD, winner=NEW, held_out=make_queries(12))
    _, seconds = run_virtually(gate)
    assert seconds == 2
    assert target.requests == len(scorer.judged) == 24
    assert scorer.prepared.total() == 12


async def test_the_gates_evaluations_are_told_from_those_of_the_search() -> None:
    search = Search(scorer=scorer_of([3.0] * 8, [4.0] * 8))
    await run_gate(search.evaluator(), incumbent=OLD, winner=NEW, held_out=make_queries(8))
    events = [event for event in search.observer.events if isinstance(event, EvaluationFinished)]
    assert {event.evaluation.round for event in events} == {HELD_OUT_ROUND}
    assert len({event.key for event in events}) == 16


async def test_a_comparison_that_cannot_be_finished_is_an_error() -> None:
    gone = BackendUnavailableError("gone", backend="fake")
    search = Search(target=ScriptedModel(lambda request: gone))
    with pytest.raises(BackendUnavailableError) as caught:
        await run_gate(search.evaluator(), incumbent=OLD, winner=NEW, held_out=make_queries(8))
    assert caught.value is gone


async def test_queries_that_the_budget_does_not_reach_lack_a_score_and_the_others_are_compared() -> None:
    target = ScriptedModel(failing_after(18, BudgetExceededError("calls")))
    search = Search(target=target, scorer=scorer_of([3.0, 3.5] * 5, [4.0, 4.5] * 5))
    finished = await run_gate(search.evaluator(), incumbent=OLD, winner=NEW, held_out=make_queries(10))
    assert (finished.queries, finished.missing) == (8, 2)
    assert (finished.difference, finished.candidate_reward) == (1.0, 4.25)
    events = [event for event in search.observer.events if isinstance(event, EvaluationFinished)]
    assert len(events) == 18, "every evaluation that was paid for is announced, and no other"


async def test_a_comparison_that_the_budget_does_not_reach_says_so() -> None:
    class Unprepared(FakeScorer):
        @override
        async def prepare(self, query: Query) -> None:
            raise BudgetExceededError("tokens")

    search = Search(scorer=Unprepared())
    finished = await run_gate(search.evaluator(), incumbent=OLD, winner=NEW, held_out=make_queries(8))
    assert (finished.verdict, finished.missing) == (NOT_ENOUGH_EVIDENCE, 8)
    assert "the budget of tokens does not allow another call" in finished.reason


def test_a_comparison_that_was_not_made_says_why() -> None:
    finished = not_compared("the budget did not reach to the gate")
    assert finished.verdict == NOT_ENOUGH_EVIDENCE
    assert finished.reason == "the budget did not reach to the gate"
    assert finished.difference is None


async def test_the_interval_that_is_reported_is_finite() -> None:
    finished = await compare([1.0, 5.0] * 5, [5.0, 1.0] * 5)
    assert finished.low is not None
    assert finished.high is not None
    assert math.isfinite(finished.low)
    assert math.isfinite(finished.high)
