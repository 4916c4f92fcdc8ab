from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.config import PRESETS, RacingConfig, SearchConfig
from optimizer.errors import BackendUnavailableError, InvalidInputError
from optimizer.events import SearchFinished, SearchStarted
from optimizer.plan import DEFAULT_CALLS, plan_search
from optimizer.prompt_lines import read_prompt
from optimizer.types import Query, Score, StopReason
from tests.fakes.chat_model import ScriptedModel
from tests.fakes.racing import FakePairwiseJudge, FakeReader, FakeReflector, PlannedCalls, rewritten_whole
from tests.fakes.search import FakeScorer, Pause, no_pause, shuffled_pause, unreadable
from tests.fakes.virtual_time import run_virtually
from tests.optimizer.builders import make_queries
from tests.optimizer.racing_world import (
    SEED_PROMPT,
    SMALL_RACE,
    RacingWorld,
    bearing_of,
    called_for,
    judged,
    paused_world,
    score_of,
    worth,
)
from tests.optimizer.searching import failing_after

QUERIES = make_queries(30)


class TestTheSearch:
    async def test_it_finds_a_prompt_that_is_truly_better_than_the_seed_and_most_of_what_was_tried(
        self,
    ) -> None:
        world = RacingWorld(limits=PlannedCalls(450))
        result = await world.run(make_queries(60))
        tried = sorted(worth(event.candidate.system_prompt) for event in world.proposed)
        found = worth(result.best.system_prompt)
        assert found > 1.0, "the seed prompt is worth 0"
        assert found >= tried[len(tried) * 3 // 4]
        assert result.best_reward is not None

    async def test_the_seed_prompt_is_screened_on_the_first_queries(self) -> None:
        world = RacingWorld()
        await world.run(QUERIES)
        plan = plan_search(200, queries=30)
        screened = [query.id for query in QUERIES[: plan.screening]]
        assert list(world.rounds_started[0].query_ids) == screened
        first = [item for item in world.evaluations if item.round == 0]
        assert {item.rollout.candidate_id for item in first} == {"c0"}
        assert [item.rollout.query.id for item in first] == screened

    async def test_rounds_are_planned_by_the_calls_there_are_and_end_with_them(self) -> None:
        world = RacingWorld(config=SearchConfig(racing=RacingConfig(least_gain=0), proposals_per_candidate=2))
        result = await world.run(QUERIES)
        plan = plan_search(200, queries=30)
        started = world.observer.events[0]
        assert started == SearchStarted(
            seed_prompt=result.seed_prompt, max_rounds=plan.rounds_after(0), queries=30
        )
        assert result.stop_reason is StopReason.BUDGET
        assert 1 <= result.rounds <= plan.rounds_after(0)
        assert [event.rounds_left for event in world.rounds_finished[:-1]] == [
            plan.rounds_after(number) for number in range(result.rounds + 1)
        ]

    async def test_no_search_makes_more_calls_than_it_planned_with(self) -> None:
        for calls in (40, 90, 200):
            scorer, reflector = FakeScorer(judged), FakeReflector()
            target = ScriptedModel(failing_after(10**6, AssertionError()))
            config = SMALL_RACE.model_copy(update={"racing": RacingConfig(calls=calls, patience=99)})
            reader = FakeReader(bearing_of)
            world = RacingWorld(
                config=config,
                target=target,
                scorer=scorer,
                reflector=reflector,
                reader=reader,
                limits=PlannedCalls(),
            )
            await world.run(QUERIES)
            made = len(target.requests) + len(scorer.judged) + scorer.prepared.total()
            made += len(reflector.briefs) + len(reader.asked)
            assert 0.5 * calls < made <= calls

    async def test_without_a_limit_it_plans_with_what_is_usual_and_converges(self) -> None:
        world = RacingWorld(limits=PlannedCalls(), reflector=FakeReflector(unreadable))
        result = await world.run(QUERIES)
        plan = plan_search(DEFAULT_CALLS, queries=30)
        assert len(world.rounds_started[0].query_ids) == plan.screening
        assert result.stop_reason is StopReason.CONVERGED
        assert result.rounds == 3, "the patience of the settings"

    @pytest.mark.parametrize("patience", [1, 2, 5])
    async def test_it_converges_after_as_many_rounds_without_a_gain_as_it_has_patience(
        self, patience: int
    ) -> None:
        config = SMALL_RACE.model_copy(update={"racing": RacingConfig(patience=patience)})
        world = RacingWorld(config=config, limits=PlannedCalls(300), reflector=FakeReflector(unreadable))
        result = await world.run(QUERIES)
        assert (result.stop_reason, result.rounds) == (StopReason.CONVERGED, patience)

    async def test_fresh_queries_join_where_there_are_calls_for_them(self) -> None:
        world = RacingWorld(limits=PlannedCalls(460))
        await world.run(make_queries(60))
        plan = plan_search(460, queries=60)
        assert plan.fresh == 2
        seen = {query_id for event in world.rounds_started for query_id in event.query_ids}
        assert len(seen) > plan.screening

    async def test_queries_that_call_for_what_is_aimed_at_come_first(self) -> None:
        def weak_tone(query: Query, response: str) -> Score:
            return score_of({name: 1.5 if name == "Tone" else 4.8 for name in called_for(query)})

        config = SMALL_RACE.model_copy(update={"racing": RacingConfig(aims=1)})
        world = RacingWorld(config=config, scorer=FakeScorer(weak_tone), limits=PlannedCalls(400))
        await world.run(make_queries(60))
        by_id = {query.id: query for query in make_queries(60)}
        pool, first = world.rounds_started[0].query_ids, world.rounds_started[1].query_ids

        def share(ids: tuple[str, ...]) -> float:
            return sum("Tone" in called_for(by_id[query_id]) for query_id in ids) / len(ids)

        assert share(first) > share(pool)

    async def test_finalists_and_the_seed_prompt_are_in_the_result_the_best_first(self) -> None:
        world = RacingWorld()
        result = await world.run(QUERIES)
        shown = [path.candidate for path in result.beam]
        assert shown[0] == result.best
        assert result.seed_prompt in shown
        assert 2 <= len(shown) <= 1 + RacingConfig().finalists + 1
        assert all(len(path.steps) == 1 for path in result.beam)
        assert all(path.last.evaluations for path in result.beam)

    async def test_two_queries_are_enough_and_one_is_not(self) -> None:
        world = RacingWorld()
        result = await world.run(QUERIES[:2])
        assert result.rounds >= 1
        assert {item.rollout.query.id for item in world.evaluations} == {"q000", "q001"}
        with pytest.raises(InvalidInputError, match="a search takes 2 queries, there are 1"):
            await RacingWorld().run(QUERIES[:1])

    async def test_prompts_without_lists_are_searched_all_the_same(self) -> None:
        world = RacingWorld(reflector=FakeReflector(rewritten_whole))
        result = await world.run(QUERIES, seed_prompt="You answer questions. You do it well.")
        assert result.rounds >= 1
        assert all(not read_prompt(event.candidate.system_prompt).instructions for event in world.proposed)
        assert not any(".r." in event.candidate.id for event in world.proposed)

    async def test_a_backend_that_is_gone_ends_the_run_with_its_own_error(self) -> None:
        gone = BackendUnavailableError("connection refused", backend="fake")
        world = RacingWorld(target=ScriptedModel(failing_after(20, gone)))
        with pytest.raises(BackendUnavailableError) as caught:
            await world.run(QUERIES)
        assert caught.value is gone
        assert not any(isinstance(event, SearchFinished) for event in world.observer.events)

    def test_the_settings_of_a_beam_search_make_no_racing_search(self) -> None:
        world = RacingWorld(config=PRESETS["paper"])
        with pytest.raises(ValueError, match="those of a beam search"):
            world.build()


def verdict_of(salt: str) -> FakeScorer:
    def verdict(query: Query, response: str) -> Score:
        return judged(Query(id=query.id + salt, text=query.text), response)

    return FakeScorer(verdict)


class TestInvariants:
    @settings(max_examples=6, deadline=None)
    @given(seed=st.integers(0, 2**31), salt=st.text(max_size=3))
    def test_order_of_completion_changes_neither_the_tree_nor_the_events(self, seed: int, salt: str) -> None:
        def run(pause: Pause) -> tuple[RacingWorld, object]:
            world = paused_world(pause)
            world.config = world.config.model_copy(update={"seed": seed})
            return world, run_virtually(world.run(make_queries(20, prefix=f"q{salt}")))[0]

        (first, first_result), (second, second_result) = run(no_pause), run(shuffled_pause(seed))
        assert second_result == first_result
        assert second.recorded() == first.recorded()
        assert len(first.recorded()) == len(first.observer.events), "a key names one event"
        assert len(second.recorded()) == len(second.observer.events)

    async def test_a_repeated_search_asks_the_same_requests_and_another_seed_asks_others(self) -> None:
        worlds = [RacingWorld() for _ in range(3)]
        worlds[2].config = SMALL_RACE.model_copy(update={"seed": 1})
        results = [await world.run(QUERIES) for world in worlds]
        targets = [world.target for world in worlds]
        assert all(isinstance(target, ScriptedModel) for target in targets)
        requests = [target.requests for target in targets if isinstance(target, ScriptedModel)]
        assert results[0] == results[1]
        assert requests[0] == requests[1]
        assert not {item.seed for item in requests[0]} & {item.seed for item in requests[2]}

    @settings(max_examples=6, deadline=None)
    @given(salt=st.text(max_size=3))
    async def test_all_candidates_of_a_round_that_got_as_far_answered_the_same_queries(
        self, salt: str
    ) -> None:
        world = RacingWorld(scorer=verdict_of(salt))
        await world.run(QUERIES)
        announced = {event.round: event.query_ids for event in world.rounds_started}
        block = plan_search(200, queries=30).block
        seen: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
        born = {event.candidate.id: event.candidate.round for event in world.proposed}
        for item in world.evaluations:
            seen[item.round, item.rollout.candidate_id].add(item.rollout.query.id)
        last = max(announced)
        for (number, name), query_ids in seen.items():
            if 0 < number < last and born.get(name) == number:
                assert len(query_ids) % block == 0
                assert query_ids == set(announced[number][: len(query_ids)])

    @settings(max_examples=6, deadline=None)
    @given(salt=st.text(max_size=3))
    async def test_nobody_answers_a_query_twice_and_every_parent_came_before(self, salt: str) -> None:
        world = RacingWorld(scorer=verdict_of(salt), pairwise=FakePairwiseJudge())
        result = await world.run(QUERIES)
        pairs = [(item.rollout.candidate_id, item.rollout.query.id) for item in world.evaluations]
        assert len(set(pairs)) == len(pairs) == result.evaluations
        known = {"c0"}
        for event in world.proposed:
            assert event.candidate.parent_id in known
            known.add(event.candidate.id)

    @settings(max_examples=6, deadline=None)
    @given(salt=st.text(max_size=3))
    async def test_a_leader_is_never_dropped_and_everybody_else_who_is_has_been_tried(
        self, salt: str
    ) -> None:
        world = RacingWorld(scorer=verdict_of(salt))
        await world.run(QUERIES)
        assert world.dropped
        tried = {item.rollout.candidate_id for item in world.evaluations}
        for event in world.dropped:
            assert event.candidate_id != event.leader_id
            assert event.candidate_id in tried
        for finished in world.rounds_finished[1:]:
            gone = {event.candidate_id for event in world.dropped if event.round == finished.round}
            assert finished.ranking[0].kept
            assert finished.ranking[0].candidate_id not in gone
            rewards = [item.reward for item in finished.ranking]
            assert all(reward is not None and 1 <= reward <= 5 for reward in rewards)

    async def test_one_search_object_can_run_twice(self) -> None:
        search = RacingWorld().build()
        assert await search.run(SEED_PROMPT, QUERIES) == await search.run(SEED_PROMPT, QUERIES)
