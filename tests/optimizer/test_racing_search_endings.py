import asyncio
from collections.abc import Sequence

import pytest

from optimizer.brief import Brief
from optimizer.budget import Budget
from optimizer.config import RacingConfig, SearchConfig
from optimizer.events import SearchFinished
from optimizer.prompt_lines import read_prompt
from optimizer.types import (
    CriterionScore,
    Proposal,
    Query,
    Score,
    Scored,
    SearchResult,
    StopReason,
    Unscored,
)
from tests.fakes.chat_model import ScriptedModel
from tests.fakes.racing import (
    BudgetedCalls,
    ChangingCalls,
    FakePairwiseJudge,
    FakeReader,
    FakeReflector,
    PlannedCalls,
    aimed_proposal,
    paying,
)
from tests.fakes.search import (
    CountingModel,
    FakeScorer,
    hashed_reward,
    never_scored,
    one_second,
    shuffled_pause,
    unreadable,
)
from tests.fakes.virtual_time import run_virtually
from tests.optimizer.builders import make_queries
from tests.optimizer.racing_world import (
    SEED_PROMPT,
    SMALL_RACE,
    RacingWorld,
    bearing_of,
    broke_after,
    bullets,
    judged,
    paused_world,
    score_of,
)
from tests.optimizer.searching import answer_from_messages

QUERIES = make_queries(20)
PATIENT = SearchConfig(racing=RacingConfig(patience=9), proposals_per_candidate=2)


class Purse:
    """A world in which every call is paid from one budget.

    A search that believes in ``believed`` calls asks nobody whether they are there.
    """

    def __init__(
        self, calls: int, *, believed: int | None = None, seed: int = 0, tie_margin: float = 0.03
    ) -> None:
        self.budget: Budget = broke_after(calls)
        pay = paying(self.budget, shuffled_pause(seed))
        self.world = RacingWorld(
            config=SearchConfig(racing=RacingConfig(tie_margin=tie_margin), proposals_per_candidate=2),
            target=CountingModel(ScriptedModel(answer_from_messages), pay),
            scorer=FakeScorer(judged, pause=pay),
            reflector=FakeReflector(pause=pay),
            pairwise=FakePairwiseJudge(pause=pay),
            reader=FakeReader(bearing_of, pause=pay),
            limits=BudgetedCalls(self.budget) if believed is None else PlannedCalls(believed),
        )

    def run(self, queries: Sequence[Query] = QUERIES) -> SearchResult:
        return run_virtually(self.world.run(queries))[0]


def holds_within(purse: Purse, result: SearchResult, calls: int) -> None:
    """What is true of a search however its budget ends."""
    assert purse.budget.spent.calls <= calls
    assert purse.budget.reserved.calls == 0
    assert purse.world.observer.events[-1] == SearchFinished(result=result)
    assert result.stop_reason is StopReason.BUDGET
    shown = [path.candidate for path in result.beam]
    assert shown[0] == result.best
    assert result.seed_prompt in shown
    assert result.best in [result.seed_prompt, *(event.candidate for event in purse.world.proposed)]
    assert result.evaluations <= len(purse.world.evaluations)
    assert (result.best_reward is None) == (result.evaluations == 0)
    for event in purse.world.observer.events:
        assert purse.world.recorded()[event.key] == event, "a key names one event"
    if result.best != result.seed_prompt:
        assert any(isinstance(item.score, Scored) for item in result.beam[0].last.evaluations)


class TestTheBudget:
    @pytest.mark.parametrize("start", range(0, 120, 20))
    def test_a_search_that_knows_its_budget_ends_within_it_with_the_best_so_far(self, start: int) -> None:
        for calls in range(start, start + 20):
            purse = Purse(calls)
            result = purse.run()
            assert purse.budget.refused_by is None, "nothing was asked for in vain"
            holds_within(purse, result, calls)

    @pytest.mark.parametrize("start", range(0, 220, 20))
    def test_a_budget_that_ends_anywhere_leaves_a_result_and_is_never_overspent(self, start: int) -> None:
        for calls in range(start, start + 20):
            purse = Purse(calls, believed=240, seed=calls, tie_margin=4)
            holds_within(purse, purse.run(), calls)

    def test_where_a_budget_ends_depends_on_no_order_of_answers_as_long_as_it_is_planned_with(self) -> None:
        results = [Purse(110, seed=seed).run() for seed in range(4)]
        assert all(result == results[0] for result in results)

    @pytest.mark.parametrize("later", [120, 300])
    async def test_other_limits_are_planned_with_from_the_next_round_on(self, later: int) -> None:
        usual = RacingWorld(limits=PlannedCalls(200), config=PATIENT)
        await usual.run(make_queries(60))
        limits = ChangingCalls(200, later)
        world = RacingWorld(limits=limits, config=PATIENT)
        result = await world.run(make_queries(60))
        assert result.stop_reason is StopReason.BUDGET
        assert limits.told == [200, 200, later]
        assert (result.evaluations > len(usual.evaluations)) == (later > 200)

    def test_no_budget_at_all_leaves_the_seed_prompt_unjudged(self) -> None:
        purse = Purse(0)
        result = purse.run()
        assert result.stop_reason is StopReason.BUDGET
        assert result.best == result.seed_prompt
        assert (result.best_reward, result.evaluations, result.rounds) == (None, 0, 0)
        assert purse.world.rounds_started == []

    def test_a_budget_for_the_screening_alone_keeps_the_seed_prompt_with_its_reward(self) -> None:
        purse = Purse(6)
        result = purse.run()
        assert (result.best, result.evaluations, result.rounds) == (result.seed_prompt, 2, 0)
        assert result.best_reward is not None
        assert purse.world.proposed == []

    def test_a_budget_that_ends_while_proposing_leaves_the_best_so_far(self) -> None:
        purse = Purse(14 * 3 + 1, believed=130)
        result = purse.run()
        assert purse.budget.refused_by == "calls"
        assert (result.best, result.rounds) == (result.seed_prompt, 0)
        assert result.stop_reason is StopReason.BUDGET


class TestWhatCannotBeScored:
    async def test_a_run_without_any_score_says_so_and_keeps_the_seed_prompt(self) -> None:
        world = RacingWorld(scorer=FakeScorer(never_scored))
        result = await world.run(QUERIES)
        assert result.stop_reason is StopReason.UNSCORED
        assert (result.best, result.best_reward) == (result.seed_prompt, None)
        assert result.unscored == result.evaluations > 0
        assert world.proposed == []
        (finished,) = world.rounds_finished
        assert [(item.reward, item.round_reward) for item in finished.ranking] == [(None, None)]

    async def test_a_mostly_unscored_run_ends_early_and_chooses_nothing(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            return judged(query, response) if query.id in {"q000", "q001"} else Unscored(reason="not read")

        world = RacingWorld(scorer=FakeScorer(verdict))
        result = await world.run(QUERIES)
        assert result.stop_reason is StopReason.UNSCORED
        assert (result.best, result.best_reward) == (result.seed_prompt, None)
        assert len({event.round for event in world.rounds_started}) == 1

    async def test_a_budget_that_ends_a_mostly_unscored_run_chooses_nothing(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            return judged(query, response) if query.id == "q000" else Unscored(reason="not read")

        world = RacingWorld(scorer=FakeScorer(verdict), limits=BudgetedCalls(broke_after(40)))
        result = await world.run(QUERIES[:3])
        assert result.evaluations < 10, "too few to doubt earlier"
        assert result.stop_reason is StopReason.UNSCORED
        assert (result.best, result.best_reward) == (result.seed_prompt, None)

    async def test_the_share_that_is_tolerated_is_a_setting(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            unread = hashed_reward("unread", query.id) < 3
            return Unscored(reason="not read") if unread else judged(query, response)

        reasons = []
        for share in (0.2, 1.0):
            config = SMALL_RACE.model_copy(update={"max_unscored_share": share})
            result = await RacingWorld(config=config, scorer=FakeScorer(verdict)).run(make_queries(40))
            assert result.unscored > 0.2 * result.evaluations
            reasons.append(result.stop_reason)
        assert reasons[0] is StopReason.UNSCORED
        assert reasons[1] is not StopReason.UNSCORED

    async def test_what_is_unscored_never_counts_as_a_low_score(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            lines = read_prompt(response.rpartition(" / ")[0]).instructions
            if lines and hashed_reward("unread", query.id) < 2.4:
                return Unscored(reason="not read")
            return score_of({"Clarity": 4.5 if lines else 2.0})

        world = RacingWorld(scorer=FakeScorer(verdict))
        result = await world.run(QUERIES)
        assert result.unscored > 0
        assert result.best != result.seed_prompt
        for finished in world.rounds_finished:
            for item in finished.ranking:
                assert item.round_reward in {None, 2.0, 4.5}

    async def test_a_requirement_that_the_seed_prompt_never_meets_is_no_end(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            met = "Mind Length" in response
            check = CriterionScore(
                criterion="Length", score=5 if met else 1, rationale="", weight=0, required=True
            )
            if not met:
                return Scored(reward=1.0, criteria=(check,))
            clear = CriterionScore(criterion="Clarity", score=4, rationale="")
            return Scored(reward=4.0, criteria=(clear, check))

        world = RacingWorld(scorer=FakeScorer(verdict))
        result = await world.run(QUERIES)
        assert "Mind Length" in result.best.system_prompt
        assert result.best_reward == pytest.approx(4, abs=0.6)


class TestProposals:
    async def test_a_proposer_that_cannot_be_read_leaves_the_seed_prompt(self) -> None:
        world = RacingWorld(reflector=FakeReflector(unreadable))
        result = await world.run(QUERIES)
        assert (result.best, result.stop_reason) == (result.seed_prompt, StopReason.CONVERGED)
        assert {event.reason for event in world.failed} == {"the reply holds no JSON object"}
        assert len({event.key for event in world.failed}) == len(world.failed)
        assert result.unscored == 0

    async def test_a_proposer_that_is_read_now_and_then_is_made_use_of(self) -> None:
        def propose(brief: Brief, draw: int, position: int) -> Proposal:
            return unreadable() if position % 2 else aimed_proposal(brief, draw, position)

        world = RacingWorld(reflector=FakeReflector(propose))
        result = await world.run(QUERIES)
        assert world.failed
        assert result.best != result.seed_prompt

    async def test_the_same_proposal_again_and_again_is_tried_once(self) -> None:
        def propose(brief: Brief, draw: int, position: int) -> Proposal:
            return Proposal(system_prompt=bullets("Mind Clarity in way 1."), rationale="once more")

        world = RacingWorld(reflector=FakeReflector(propose))
        await world.run(QUERIES)
        texts = [SEED_PROMPT, *(event.candidate.system_prompt for event in world.proposed)]
        assert len(set(texts)) == len(texts)
        assert {event.reason for event in world.failed} == {"the same prompt was tried before"}

    async def test_the_seed_prompt_proposed_anew_is_no_candidate(self) -> None:
        def propose(brief: Brief, draw: int, position: int) -> Proposal:
            return Proposal(system_prompt=f"\n{brief.parent.system_prompt} ", rationale="as it was")

        world = RacingWorld(reflector=FakeReflector(propose))
        assert (await world.run(QUERIES)).best.system_prompt == SEED_PROMPT
        assert world.proposed == []

    async def test_nothing_longer_than_allowed_is_ever_tried(self) -> None:
        racing = RacingConfig(max_prompt_length=110, patience=3)
        world = RacingWorld(config=SMALL_RACE.model_copy(update={"racing": racing}), limits=PlannedCalls(300))
        result = await world.run(QUERIES)
        assert result.best != result.seed_prompt
        assert any("longer than 110 characters" in event.reason for event in world.failed)
        assert all(len(event.candidate.system_prompt) <= 110 for event in world.proposed)


class TestCancellation:
    @pytest.mark.parametrize("seconds", [0.5, 2.5, 4.5, 6.5, 8.5, 11.5])
    def test_cancellation_leaves_no_task_running(self, seconds: float) -> None:
        async def cancel() -> tuple[int, RacingWorld]:
            world = paused_world(one_second)
            task = asyncio.create_task(world.run(QUERIES))
            await asyncio.sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return len(asyncio.all_tasks()), world

        (running, world), elapsed = run_virtually(cancel())
        assert running == 1
        assert elapsed == seconds, "cancelling waits for no call"
        assert not any(isinstance(event, SearchFinished) for event in world.observer.events)
