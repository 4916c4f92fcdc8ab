"""Stage 1 under fakes: what is kept, what ends the work on an example, and what a budget does."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from optimizer.errors import BudgetExceededError, InvalidInputError
from optimizer.examples.answers import (
    ExampleDraft,
    ExampleEnd,
    JudgedAnswer,
    RefinementEnd,
    RefinementResult,
    Rewrite,
)
from optimizer.examples.config import RefinementConfig
from optimizer.examples.estimate import refinement_calls
from optimizer.examples.events import (
    AnswerJudged,
    RefinementFinished,
    RefinementRoundFinished,
    RefinementRoundStarted,
    RefinementStarted,
    RewriteFailed,
)
from optimizer.examples.refinement import AnswerRefiner
from optimizer.types import Completion, Query, Score, Unscored
from tests.fakes.refining import FakeRewriter, RecordingObserver, RoundRooms, numbered
from tests.fakes.search import FakeScorer, hashed_reward, never_scored, scored

ONE = ExampleDraft(id="e1", query="Why?", answer="given", kind="help")
OTHER = ExampleDraft(id="e2", query="How?", answer="so")
WITHOUT = ExampleDraft(id="e3", query="When?")
NARROW = RefinementConfig(beam_width=1, rewrites=1, rounds=3, patience=9)


def by_text(rewards: Mapping[str, float | None], default: float = 1.0) -> Callable[[Query, str], Score]:
    def verdict(_: Query, text: str) -> Score:
        reward = rewards.get(text, default)
        return Unscored(reason="unreadable") if reward is None else scored(reward)

    return verdict


class Refinery:
    """A refiner with its fakes."""

    def __init__(
        self,
        verdict: Callable[[Query, str], Score],
        config: RefinementConfig = NARROW,
        rewriter: FakeRewriter | None = None,
        budget: RoundRooms | None = None,
        scorer: FakeScorer | None = None,
    ) -> None:
        self.rewriter = rewriter or FakeRewriter()
        self.scorer = scorer or FakeScorer(verdict)
        self.observer = RecordingObserver()
        self.budget = budget or RoundRooms()
        self._refiner = AnswerRefiner(
            config=config,
            rewriter=self.rewriter,
            scorer=self.scorer,
            observer=self.observer,
            budget=self.budget,
        )

    async def refine(self, *drafts: ExampleDraft) -> RefinementResult:
        return await self._refiner.refine(drafts)


def texts(result: RefinementResult) -> list[str | None]:
    return [None if item.best is None else item.best.answer.text for item in result.examples]


async def test_a_better_answer_replaces_the_given_one() -> None:
    refinery = Refinery(by_text({"given": 2, "given>0": 3, "given>0>0": 4, "given>0>0>0": 3}))
    result = await refinery.refine(ONE)
    (refined,) = result.examples
    assert refined.first is not None
    assert (refined.first.reward, refined.first.answer.id) == (2, "a0")
    assert refined.best is not None
    assert (refined.best.reward, refined.best.answer.id, refined.best.answer.parent_id) == (
        4,
        "a2.0.0",
        "a1.0.0",
    )
    assert (refined.end, refined.judged) == (ExampleEnd.ROUNDS, 4)
    assert result.end is RefinementEnd.ROUNDS
    assert result.rounds == 3
    assert [(item.id, item.query, item.answer, item.kind) for item in result.bank] == [
        ("e1", "Why?", "given>0>0", "help")
    ]


async def test_a_tie_keeps_the_given_answer() -> None:
    result = await Refinery(by_text({}, default=3)).refine(ONE)
    assert texts(result) == ["given"]


async def test_the_best_answers_are_rewritten_and_ties_keep_the_earlier() -> None:
    config = RefinementConfig(beam_width=2, rewrites=2, rounds=2, patience=9)
    refinery = Refinery(by_text({"given": 2, "given>0": 3, "given>1": 3}), config)
    await refinery.refine(ONE)
    assert refinery.rewriter.asked == [
        ("e1", "given", 2),
        ("e1", "given>0", 2),
        ("e1", "given>1", 2),
    ]
    assert refinery.budget.asked == [(0, (2,)), (1, (3,)), (2, (6,))]


async def test_a_perfect_answer_is_left_alone() -> None:
    refinery = Refinery(by_text({"given": 5, "so": 4, "so>0": 5}))
    result = await refinery.refine(ONE, OTHER)
    assert [item.end for item in result.examples] == [ExampleEnd.PERFECT] * 2
    assert texts(result) == ["given", "so>0"]
    assert refinery.rewriter.asked == [("e2", "so", 1)]
    assert result.end is RefinementEnd.DONE
    assert result.rounds == 1


async def test_work_ends_after_rounds_without_gain() -> None:
    config = RefinementConfig(beam_width=1, rewrites=1, rounds=9, patience=2)
    refinery = Refinery(by_text({"given": 2, "given>0": 3}, default=1), config)
    result = await refinery.refine(ONE)
    assert (result.examples[0].end, result.end) == (ExampleEnd.NO_GAIN, RefinementEnd.DONE)
    assert texts(result) == ["given>0"]
    assert result.rounds == 3  # one with a gain, and two without


async def test_a_text_is_judged_once() -> None:
    def same(query: Query, judged: JudgedAnswer | None, position: int) -> Rewrite:
        return Rewrite(text="again", rationale="")

    config = RefinementConfig(beam_width=2, rewrites=3, rounds=2, patience=9)
    refinery = Refinery(by_text({"given": 2, "again": 3}), config, FakeRewriter(same))
    result = await refinery.refine(ONE)
    assert refinery.scorer.judged == [("e1", "given"), ("e1", "again")]
    assert result.examples[0].judged == 2


async def test_replies_that_cannot_be_read_give_fewer_answers() -> None:
    def half(query: Query, judged: JudgedAnswer | None, position: int) -> Rewrite:
        if position == 0:
            return Rewrite(text=None, rationale="no JSON")
        return numbered(query, judged, position)

    config = RefinementConfig(beam_width=1, rewrites=2, rounds=1)
    refinery = Refinery(by_text({"given": 2, "given>1": 3}), config, FakeRewriter(half))
    assert texts(await refinery.refine(ONE)) == ["given>1"]
    failed = [event for event in refinery.observer.events if isinstance(event, RewriteFailed)]
    assert [(event.slot, event.position, event.reason, event.key) for event in failed] == [
        (0, 0, "no JSON", "rewrite_failed:e1:1:0:0")
    ]


async def test_an_answer_that_cannot_be_scored_is_judged_once_more_and_never_counts_as_zero() -> None:
    verdicts: Iterator[Score] = iter([Unscored(reason="unreadable"), scored(2.0)])

    def verdict(query: Query, text: str) -> Score:
        return next(verdicts) if text == "given" else Unscored(reason="no")

    refinery = Refinery(verdict)
    result = await refinery.refine(ONE)
    (refined,) = result.examples
    assert refined.first is not None
    assert (refined.first.reward, texts(result)) == (2.0, ["given"])
    assert len(set(refinery.scorer.seeds)) == len(refinery.scorer.seeds) == 8  # two draws of each answer
    judged = [event for event in refinery.observer.events if isinstance(event, AnswerJudged)]
    assert [event.judged.reward for event in judged] == [2.0, None, None, None]


async def test_a_given_answer_without_a_score_stays_as_it_is() -> None:
    refinery = Refinery(by_text({"given": None}, default=5))
    result = await refinery.refine(ONE)
    assert texts(result) == ["given"]
    assert result.examples[0].end is ExampleEnd.UNSCORED
    assert refinery.rewriter.asked == []


async def test_missing_answers_are_drafted_and_the_best_draft_is_the_first() -> None:
    config = RefinementConfig(beam_width=1, rewrites=2, rounds=1)
    refinery = Refinery(by_text({"nothing>1": 3, "nothing>1>0": 4}), config)
    (refined,) = (await refinery.refine(WITHOUT)).examples
    assert refined.first is not None
    assert (refined.first.answer.text, refined.first.answer.id) == ("nothing>1", "a0.0.1")
    assert refined.example is not None
    assert refined.example.answer == "nothing>1>0"
    assert refinery.scorer.prepared == {"e3": 1}
    assert refinery.budget.asked[0] == (0, (4,))


async def test_a_draft_that_cannot_be_scored_is_better_than_none() -> None:
    (refined,) = (await Refinery(never_scored).refine(WITHOUT)).examples
    assert refined.example is not None
    assert (refined.end, refined.example.answer) == (ExampleEnd.UNSCORED, "nothing>0")


async def test_an_example_for_which_nothing_could_be_written_is_left_out() -> None:
    unreadable = FakeRewriter(lambda *_: Rewrite(text=None, rationale="no JSON"))
    result = await Refinery(by_text({}, default=5), rewriter=unreadable).refine(WITHOUT, ONE)
    assert [item.end for item in result.examples] == [ExampleEnd.NO_ANSWER, ExampleEnd.PERFECT]
    assert [item.id for item in result.bank] == ["e1"]


async def test_no_examples_are_bad_input() -> None:
    with pytest.raises(InvalidInputError):
        await Refinery(by_text({})).refine()


async def test_a_round_that_not_all_can_take_part_in_is_for_the_weakest_and_the_last() -> None:
    refinery = Refinery(by_text({"given": 3, "so": 2, "so>0": 4}), budget=RoundRooms(2, 1))
    result = await refinery.refine(ONE, OTHER)
    assert texts(result) == ["given", "so>0"]
    assert refinery.rewriter.asked == [("e2", "so", 1)]
    assert (result.end, result.rounds) == (RefinementEnd.BUDGET, 1)
    assert [item.end for item in result.examples] == [ExampleEnd.BUDGET] * 2


async def test_without_any_room_the_given_answers_are_the_bank() -> None:
    refinery = Refinery(by_text({}), budget=RoundRooms(0))
    result = await refinery.refine(ONE, WITHOUT)
    assert [(item.id, item.answer) for item in result.bank] == [("e1", "given")]
    assert [(item.first, item.best, item.judged) for item in result.examples] == [(None, None, 0)] * 2
    kinds = [type(event) for event in refinery.observer.events]
    assert kinds == [RefinementStarted, RefinementFinished]


async def test_what_was_judged_before_the_budget_ended_counts() -> None:
    config = RefinementConfig(beam_width=2, rewrites=1, rounds=3, patience=9)
    refinery = Refinery(
        by_text({"given": 2, "given>0": 3, "given>0>0": 4}), config, FakeRewriter(calls_left=2)
    )
    result = await refinery.refine(ONE)
    assert texts(result) == ["given>0>0"]
    assert (result.end, result.rounds, result.examples[0].end) == (
        RefinementEnd.BUDGET,
        2,
        ExampleEnd.BUDGET,
    )


class PoorScorer(FakeScorer):
    """The budget ends after some scores, or with the criteria."""

    def __init__(self, verdict: Callable[[Query, str], Score], scores: int, *, prepares: bool) -> None:
        super().__init__(verdict)
        self._left = scores
        self._prepares = prepares

    @override
    async def prepare(self, query: Query) -> None:
        if not self._prepares:
            raise BudgetExceededError("tokens")
        await super().prepare(query)

    @override
    async def score(self, query: Query, response: Completion, *, seed: int) -> Score:
        if not self._left:
            raise BudgetExceededError("tokens")
        self._left -= 1
        return await super().score(query, response, seed=seed)


async def test_a_judge_that_cannot_be_paid_any_more_ends_the_work() -> None:
    verdict = by_text({"given": 2, "given>0": 3})
    refinery = Refinery(verdict, scorer=PoorScorer(verdict, 1, prepares=True))
    result = await refinery.refine(ONE)
    assert (texts(result), result.end) == (["given"], RefinementEnd.BUDGET)


async def test_criteria_that_cannot_be_paid_end_the_work() -> None:
    verdict = by_text({})
    result = await Refinery(verdict, scorer=PoorScorer(verdict, 0, prepares=False)).refine(WITHOUT)
    assert (result.bank, result.end) == ((), RefinementEnd.BUDGET)
    assert result.examples[0].end is ExampleEnd.BUDGET


async def test_rounds_are_announced_with_their_means() -> None:
    refinery = Refinery(by_text({"given": 2, "given>0": 3, "so": None}), NARROW)
    await refinery.refine(ONE, OTHER)
    events = refinery.observer.events
    assert len({event.key for event in events}) == len(events)
    started = [event for event in events if isinstance(event, RefinementRoundStarted)]
    assert [(event.round, event.example_ids) for event in started] == [
        (0, ("e1", "e2")),
        (1, ("e1",)),
        (2, ("e1",)),
        (3, ("e1",)),
    ]
    finished = [event for event in events if isinstance(event, RefinementRoundFinished)]
    assert [
        (event.round, event.rounds_left, event.improved, event.open, event.mean_first, event.mean_best)
        for event in finished
    ] == [(0, 3, 2, 1, 2, 2), (1, 2, 1, 1, 2, 3), (2, 1, 0, 1, 2, 3), (3, 0, 0, 1, 2, 3)]


async def test_where_nothing_is_scored_there_is_no_mean() -> None:
    refinery = Refinery(by_text({"given": None}))
    await refinery.refine(ONE)
    (finished,) = [event for event in refinery.observer.events if isinstance(event, RefinementRoundFinished)]
    assert (finished.mean_first, finished.mean_best) == (None, None)


@given(
    st.lists(st.booleans(), min_size=1, max_size=4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
)
async def test_no_answer_gets_worse_and_no_estimate_is_exceeded(
    given_answers: list[bool], beam_width: int, rewrites: int, rounds: int, patience: int
) -> None:
    config = RefinementConfig(beam_width=beam_width, rewrites=rewrites, rounds=rounds, patience=patience)
    drafts = [
        ExampleDraft(id=f"e{place}", query=f"q{place}", answer="given" if has else None)
        for place, has in enumerate(given_answers)
    ]
    refinery = Refinery(lambda query, text: scored(hashed_reward(query.id, text)), config)
    result = await refinery.refine(*drafts)
    for refined in result.examples:
        assert refined.first is not None
        assert refined.best is not None
        assert (refined.best.reward or 0) >= (refined.first.reward or 0)
        assert refined.best is refined.first or (refined.best.reward or 0) > (refined.first.reward or 0)
    made = len(refinery.rewriter.asked) + len(refinery.scorer.judged) + len(drafts)
    assert made <= refinement_calls(config, drafts)
    again = await Refinery(lambda query, text: scored(hashed_reward(query.id, text)), config).refine(*drafts)
    assert again == result
