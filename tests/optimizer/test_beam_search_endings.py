import asyncio
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.beam_search import BeamSearch
from optimizer.budget import Budget, Limits
from optimizer.config import PRESETS
from optimizer.errors import BackendUnavailableError, BudgetExceededError, ModelError
from optimizer.events import (
    ProposalFailed,
    SearchFinished,
)
from optimizer.types import (
    BeamPath,
    Proposal,
    Query,
    Score,
    Scored,
    StopReason,
    Unscored,
)
from tests.fakes.chat_model import ScriptedModel
from tests.fakes.search import (
    CountingModel,
    FakeProposer,
    FakeScorer,
    ManualClock,
    hashed_reward,
    hashed_score,
    never_scored,
    one_second,
    scored,
    shuffled_pause,
    unreadable,
)
from tests.fakes.virtual_time import run_virtually
from tests.optimizer.builders import make_queries
from tests.optimizer.searching import (
    SEED_PROMPT,
    SMALL,
    Search,
    answer_from_messages,
    evaluations_of,
    failing_after,
    never_easy,
)


class TestWhatCannotBeScored:
    async def test_a_run_without_any_score_says_so_and_keeps_the_seed_prompt(self) -> None:
        search = Search(config=SMALL, scorer=FakeScorer(never_scored))
        result = await search.run(make_queries(30))
        assert result.stop_reason is StopReason.UNSCORED
        assert result.best == result.seed_prompt
        assert result.best_reward is None
        assert result.unscored == result.evaluations
        assert {event.reason for event in search.kept} == {"unscored"}

    async def test_a_run_ends_early_once_enough_evaluations_are_unscored(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            return scored(3) if query.id == "q000" else Unscored(reason="not read")

        search = Search(config=PRESETS["paper"], scorer=FakeScorer(verdict))
        result = await search.run(make_queries(30))
        assert result.stop_reason is StopReason.UNSCORED
        assert result.best == result.seed_prompt
        assert result.evaluations == 10, "no further round begins when 8 of 10 or more are unscored"

    async def test_the_share_that_is_tolerated_is_a_setting(self) -> None:
        config = SMALL.model_copy(update={"max_unscored_share": 1.0})
        result = await Search(config=config, scorer=FakeScorer(never_scored)).run(make_queries(30))
        assert result.stop_reason is StopReason.DEPTH
        assert result.best.system_prompt == SEED_PROMPT
        assert result.best_reward is None

    async def test_a_budget_that_ends_a_mostly_unscored_run_chooses_nothing(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            return scored(3) if query.id == "q000" else Unscored(reason="not read")

        stop = Budget(Limits(calls=12), clock=ManualClock())
        search = Search(config=SMALL, scorer=FakeScorer(verdict), stop=CountingStop(stop, rounds=2))
        result = await search.run(make_queries(30))
        assert (result.unscored, result.evaluations) == (3, 4)
        assert result.stop_reason is StopReason.UNSCORED
        assert result.best == result.seed_prompt
        assert result.best_reward is None

    async def test_a_proposer_that_cannot_be_read_leaves_the_prompt_as_it_is(self) -> None:
        proposer = FakeProposer(unreadable)
        search = Search(config=SMALL, scorer=FakeScorer(never_easy), proposer=proposer)
        result = await search.run(make_queries(30))
        assert result.stop_reason is StopReason.DEPTH
        assert result.best == result.seed_prompt
        assert result.best_reward is not None
        assert [event.reason for event in search.kept] == ["no_proposal"] * 4
        failures = [event for event in search.observer.events if isinstance(event, ProposalFailed)]
        assert [(event.round, event.proposal_slot) for event in failures] == [
            (number, slot) for number in range(1, 5) for slot in range(3)
        ]
        assert result.rounds == 4, "a failed proposal is no skip"

    @settings(max_examples=40)
    @given(salt=st.text(max_size=4), minibatch=st.integers(1, 2))
    async def test_no_unscored_value_enters_a_mean(self, salt: str, minibatch: int) -> None:
        def verdict(query: Query, response: str) -> Score:
            reward = hashed_reward(salt, query.id, response)
            return Unscored(reason="not read") if reward > 4 else scored(2 + reward / 4)

        config = SMALL.model_copy(update={"minibatch_size": minibatch, "max_unscored_share": 1.0})
        search = Search(config=config, scorer=FakeScorer(verdict))
        result = await search.run(make_queries(30))
        rewards: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
        for item in evaluations_of(search):
            rewards[item.round, item.rollout.candidate_id] += (
                [item.score.reward] if isinstance(item.score, Scored) else []
            )
        for finished in search.rounds_finished:
            for ranked in finished.ranking:
                values = rewards[finished.round, ranked.candidate_id]
                expected = None if not values else pytest.approx(sum(values) / len(values))
                assert ranked.round_reward == expected
                assert ranked.reward is None or ranked.reward >= 2
        unscored = sum(isinstance(item.score, Unscored) for item in evaluations_of(search))
        assert result.unscored == unscored


class CountingStop:
    """Lets a number of rounds begin, and asks another condition what it thinks of them."""

    def __init__(self, inner: Budget, *, rounds: int) -> None:
        self._inner = inner
        self._rounds = rounds
        self.needed: list[int] = []

    def exhausted(self, calls_needed: int) -> bool:
        self.needed.append(calls_needed)
        return len(self.needed) > self._rounds or self._inner.exhausted(calls_needed)


class TestTheBudget:
    async def test_a_round_that_does_not_fit_is_not_begun(self) -> None:
        stop = CountingStop(Budget(Limits(), clock=ManualClock()), rounds=2)
        search = Search(config=SMALL, scorer=FakeScorer(never_easy), stop=stop)
        result = await search.run(make_queries(30))
        assert result.stop_reason is StopReason.BUDGET
        assert [event.round for event in search.rounds_started] == [0, 1]
        assert result.rounds == 1
        assert result.best == result.beam[0].candidate
        assert len(result.beam) == 2

    async def test_each_round_asks_for_the_calls_that_it_will_make(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            easy = query.id == "q002" and " after c1.0.0" in response
            return scored(5 if easy else 3)

        stop = CountingStop(Budget(Limits(), clock=ManualClock()), rounds=99)
        await Search(config=SMALL, scorer=FakeScorer(verdict), stop=stop).run(make_queries(30))
        seed_round, first_round, both_rewritten, both_kept = 3, 8, 15, 5
        assert stop.needed[:3] == [seed_round, first_round, both_rewritten]
        assert stop.needed[3] == both_kept
        assert set(stop.needed[4:]) == {both_rewritten}

    async def test_no_budget_at_all_leaves_the_seed_prompt_unjudged(self) -> None:
        stop = Budget(Limits(calls=2), clock=ManualClock())
        search = Search(config=SMALL, stop=stop)
        result = await search.run(make_queries(30))
        assert result.stop_reason is StopReason.BUDGET
        assert result.best == result.seed_prompt
        assert (result.beam, result.rounds, result.evaluations) == ((), 0, 0)

    async def test_a_budget_that_ends_within_a_round_drops_that_round(self) -> None:
        target = ScriptedModel(failing_after(1 + 3 + 2, BudgetExceededError("tokens")))
        search = Search(config=SMALL, target=target, scorer=FakeScorer(never_easy))
        result = await search.run(make_queries(30))
        assert result.stop_reason is StopReason.BUDGET
        assert [event.round for event in search.rounds_started] == [0, 1, 2]
        assert [event.round for event in search.rounds_finished] == [0, 1]
        assert result.rounds == 1
        assert result.evaluations == 4, "what a dropped round did judge is not counted"
        kept = [item.candidate_id for item in search.rounds_finished[-1].ranking if item.kept]
        assert [path.candidate.id for path in result.beam] == kept
        assert search.observer.events[-1] == SearchFinished(result=result)

    async def test_a_budget_that_ends_while_proposing_drops_that_round(self) -> None:
        def propose(path: BeamPath, round_number: int, slot: int, position: int) -> Proposal:
            if (round_number, slot) == (3, 1):
                raise BudgetExceededError("calls")
            return Proposal(system_prompt=f"prompt {round_number}.{slot}.{position}", rationale="")

        search = Search(config=SMALL, scorer=FakeScorer(never_easy), proposer=FakeProposer(propose))
        result = await search.run(make_queries(30))
        assert (result.stop_reason, result.rounds) == (StopReason.BUDGET, 2)


class TestFailuresAndCancellation:
    async def test_a_backend_that_is_gone_ends_the_run_with_its_own_error(self) -> None:
        gone = BackendUnavailableError("connection refused", backend="fake")
        target = ScriptedModel(failing_after(5, gone))
        search = Search(config=SMALL, target=target, scorer=FakeScorer(never_easy))
        with pytest.raises(BackendUnavailableError) as caught:
            await search.run(make_queries(30))
        assert caught.value is gone
        assert not any(isinstance(event, SearchFinished) for event in search.observer.events)

    def test_a_failure_leaves_no_task_running(self) -> None:
        async def fail() -> int:
            target = CountingModel(
                ScriptedModel(failing_after(5, BackendUnavailableError("gone", backend="fake"))),
                shuffled_pause(7),
            )
            search = Search(config=SMALL, target=target, scorer=FakeScorer(never_easy, pause=one_second))
            with pytest.raises(ModelError):
                await search.run(make_queries(30))
            return len(asyncio.all_tasks())

        assert run_virtually(fail())[0] == 1

    @pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 9.5])
    def test_cancellation_leaves_no_task_running(self, seconds: float) -> None:
        async def cancel() -> tuple[int, Search]:
            search = Search(
                config=SMALL,
                target=CountingModel(ScriptedModel(answer_from_messages), one_second),
                scorer=FakeScorer(never_easy, pause=one_second),
                proposer=FakeProposer(pause=one_second),
            )
            task = asyncio.create_task(search.run(make_queries(30)))
            await asyncio.sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return len(asyncio.all_tasks()), search

        (running, search), elapsed = run_virtually(cancel())
        assert running == 1
        assert elapsed == seconds, "cancelling waits for no call"
        assert not any(isinstance(event, SearchFinished) for event in search.observer.events)

    async def test_one_search_object_can_run_twice(self) -> None:
        search = Search(config=SMALL, scorer=FakeScorer(hashed_score))
        engine: BeamSearch = search.build()
        first = await engine.run(SEED_PROMPT, make_queries(30))
        second = await engine.run(SEED_PROMPT, make_queries(30))
        assert first == second
