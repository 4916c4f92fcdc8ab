import asyncio

import pytest

from optimizer.config import PathAggregation, SearchConfig
from optimizer.errors import InvalidInputError
from optimizer.events import (
    RankedPath,
    SearchFinished,
    SearchStarted,
)
from optimizer.types import (
    Query,
    Score,
    StopReason,
)
from tests.fakes.chat_model import ScriptedModel
from tests.fakes.search import (
    CountingModel,
    FakeProposer,
    FakeScorer,
    one_second,
    scored,
)
from tests.fakes.virtual_time import run_virtually
from tests.optimizer.builders import make_queries
from tests.optimizer.searching import (
    SEED_PROMPT,
    SMALL,
    Search,
    always_perfect,
    answer_from_messages,
    never_easy,
)


class TestTheLoop:
    async def test_the_search_announces_its_start_and_its_end(self) -> None:
        search = Search(config=SMALL, scorer=FakeScorer(never_easy))
        result = await search.run(make_queries(10))
        started, finished = search.observer.events[0], search.observer.events[-1]
        assert isinstance(started, SearchStarted)
        assert started.seed_prompt.system_prompt == SEED_PROMPT
        assert (started.max_rounds, started.queries) == (6, 10)
        assert finished == SearchFinished(result=result)
        assert [event.round for event in search.rounds_started] == [0, 1, 2, 3, 4]
        assert [event.rounds_left for event in search.rounds_finished] == [4, 3, 2, 1, 0]

    async def test_the_best_lineage_of_the_last_round_wins(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            return scored(4 if ".1 after" in response else 2)

        search = Search(config=SMALL, scorer=FakeScorer(verdict))
        result = await search.run(make_queries(10))
        assert result.best.id == "c4.0.1"
        assert result.best == result.beam[0].candidate
        assert result.best_reward == 4
        assert [step.candidate.id for step in result.beam[0].steps] == [
            "c0", "c1.0.1", "c2.0.1", "c3.0.1", "c4.0.1",
        ]  # fmt: skip
        assert result.seed_prompt.id == "c0"
        assert (result.unscored, result.evaluations) == (0, 1 + 3 + 3 * 6)

    async def test_the_seed_prompts_reward_is_no_part_of_the_rank(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            return scored(1 if response.startswith(SEED_PROMPT) else 4)

        search = Search(config=SMALL, scorer=FakeScorer(verdict))
        result = await search.run(make_queries(10))
        assert search.rounds_finished[0].ranking == (
            RankedPath(candidate_id="c0", reward=None, round_reward=1, kept=True),
        )
        assert result.best_reward == 4

    async def test_a_single_path_is_ranked_by_its_last_reward(self) -> None:
        config = SearchConfig(beam_width=1, proposals_per_candidate=2, depth=3, max_depth_increase=0)

        def verdict(query: Query, response: str) -> Score:
            return scored({"q001": 2.0, "q002": 4.0}.get(query.id, 3.0))

        result = await Search(config=config, scorer=FakeScorer(verdict)).run(make_queries(3))
        assert config.path_aggregation is PathAggregation.LAST
        assert result.best_reward == 4

    async def test_without_a_minibatch_of_queries_there_is_no_search(self) -> None:
        search = Search(config=SMALL.model_copy(update={"minibatch_size": 4}))
        with pytest.raises(InvalidInputError, match="a round takes 4 queries, there are 3") as caught:
            await search.run(make_queries(3))
        assert caught.value.param == "queries"
        assert search.observer.events == []

    async def test_an_incomplete_minibatch_is_left_over(self) -> None:
        config = SMALL.model_copy(update={"minibatch_size": 2})
        search = Search(config=config, scorer=FakeScorer(never_easy))
        result = await search.run(make_queries(5))
        assert [event.query_ids for event in search.rounds_started] == [("q000", "q001"), ("q002", "q003")]
        assert result.stop_reason is StopReason.QUERIES

    async def test_the_search_ends_when_the_queries_do(self) -> None:
        search = Search(config=SMALL, scorer=FakeScorer(never_easy))
        result = await search.run(make_queries(3))
        assert result.stop_reason is StopReason.QUERIES
        assert result.rounds == 2
        assert [event.rounds_left for event in search.rounds_finished] == [2, 1, 0]

    async def test_only_queries_of_a_coming_round_are_prepared(self) -> None:
        scorer = FakeScorer(never_easy)
        await Search(config=SMALL, scorer=scorer).run(make_queries(30))
        assert dict(scorer.prepared) == {f"q{number:03}": 1 for number in range(5)}

    def test_the_next_rounds_criteria_are_selected_while_this_rounds_answers_are_awaited(self) -> None:
        async def count_prepared() -> int:
            scorer = FakeScorer(never_easy, pause=one_second)
            target = CountingModel(ScriptedModel(answer_from_messages), one_second)
            task = asyncio.create_task(
                Search(config=SMALL, scorer=scorer, target=target).run(make_queries(30))
            )
            await asyncio.sleep(1.5)
            prepared = len(scorer.prepared)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return prepared

        assert run_virtually(count_prepared())[0] == 2

    async def test_the_history_of_the_lineage_reaches_the_proposer(self) -> None:
        proposer = FakeProposer()
        await Search(config=SMALL, proposer=proposer, scorer=FakeScorer(never_easy)).run(make_queries(5))
        assert proposer.calls == [
            (1, 0, 3), (2, 0, 3), (2, 1, 3), (3, 0, 3), (3, 1, 3), (4, 0, 3), (4, 1, 3),
        ]  # fmt: skip
        assert [len(path.steps) for path in proposer.paths] == [1, 2, 2, 3, 3, 4, 4]


class TestTheSkipRule:
    async def test_an_easy_round_lengthens_the_search_by_one_round_for_all_lineages_together(self) -> None:
        def verdict(query: Query, response: str) -> Score:
            return scored(5 if query.id == "q002" else 3)  # both lineages of the beam find round 2 easy

        search = Search(config=SMALL, scorer=FakeScorer(verdict))
        result = await search.run(make_queries(30))
        assert [(event.round, event.slot, event.reason) for event in search.kept] == [
            (3, 0, "easy"),
            (3, 1, "easy"),
        ]
        assert result.rounds == 4 + 1
        assert [event.rounds_left for event in search.rounds_finished] == [4, 3, 2, 2, 1, 0]

    async def test_the_search_is_never_longer_than_depth_and_increase(self) -> None:
        search = Search(config=SMALL, scorer=FakeScorer(always_perfect))
        result = await search.run(make_queries(30))
        assert result.rounds == SMALL.depth - 1 + SMALL.max_depth_increase
        assert [event.rounds_left for event in search.rounds_finished] == [4, 4, 4, 3, 2, 1, 0]
        assert result.stop_reason is StopReason.DEPTH

    async def test_a_search_is_not_lengthened_beyond_its_queries(self) -> None:
        result = await Search(config=SMALL, scorer=FakeScorer(always_perfect)).run(make_queries(6))
        assert result.rounds == 5
        assert result.stop_reason is StopReason.DEPTH

    async def test_a_kept_candidate_keeps_its_id_and_its_prompt(self) -> None:
        search = Search(config=SMALL, scorer=FakeScorer(always_perfect))
        result = await search.run(make_queries(30))
        assert {step.candidate.id for path in result.beam for step in path.steps} == {"c0"}
        assert all(event.candidate_id == "c0" for event in search.kept)
        assert len(result.beam[0].steps) == 7
