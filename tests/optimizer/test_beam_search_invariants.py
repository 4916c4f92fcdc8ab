import itertools
import json
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.config import PRESETS, SearchConfig
from optimizer.estimate import search_calls
from optimizer.proposers.rewriting import RewritingProposer
from optimizer.types import (
    BeamPath,
    CompletionRequest,
    Proposal,
    Query,
    Score,
    Scored,
    SearchResult,
    StopReason,
    Unscored,
)
from tests.fakes.chat_model import Reply, ScriptedModel
from tests.fakes.search import (
    CountingModel,
    FakeProposer,
    FakeScorer,
    Pause,
    hashed_reward,
    no_pause,
    one_second,
    scored,
    shuffled_pause,
)
from tests.fakes.virtual_time import run_virtually
from tests.optimizer.builders import make_queries
from tests.optimizer.searching import (
    SEED_PROMPT,
    SMALL,
    Search,
    always_perfect,
    answer_from_messages,
    evaluations_of,
    never_easy,
)


def write_proposals(request: CompletionRequest) -> Reply:
    """A critic that numbers its proposals by the request's seed."""
    texts = (f"prompt {request.seed}.{draw}" for draw in range(request.n))
    return tuple(json.dumps({"analysis": "weak", "system_prompt": text}) for text in texts)


@dataclass(kw_only=True)
class Counted:
    """A search whose requests are counted, the proposer's as real requests to a model."""

    result: SearchResult
    search: Search
    target: CountingModel
    critic: CountingModel
    scorer: FakeScorer
    seconds: float

    @property
    def requests(self) -> int:
        return (
            self.target.requests
            + self.critic.requests
            + len(self.scorer.judged)
            + self.scorer.prepared.total()
        )


def run_counted(config: SearchConfig, scorer: FakeScorer, queries: int) -> Counted:
    target = CountingModel(ScriptedModel(answer_from_messages), one_second)
    critic = CountingModel(ScriptedModel(write_proposals), one_second)
    proposer = RewritingProposer(
        critic, config.proposer.to_sampling(), history=config.history, seed=config.seed
    )
    search = Search(config=config, target=target, scorer=scorer, proposer=proposer)
    result, seconds = run_virtually(search.run(make_queries(queries)))
    return Counted(result=result, search=search, target=target, critic=critic, scorer=scorer, seconds=seconds)


class TestCallsOfThePaper:
    def test_without_skips_the_preset_makes_281_calls_in_59_waves(self) -> None:
        counted = run_counted(PRESETS["paper"], FakeScorer(never_easy, pause=one_second), queries=180)
        assert counted.critic.requests == 37
        assert counted.critic.completions == 111
        assert counted.target.requests == 112
        assert len(counted.scorer.judged) == 112
        assert len(counted.scorer.prepared) == counted.scorer.prepared.total() == 20
        assert counted.requests == 281 == search_calls(PRESETS["paper"]).expected
        assert counted.seconds == 59
        assert counted.result.stop_reason is StopReason.DEPTH
        assert counted.result.rounds == 19

    def test_a_perfect_seed_prompt_costs_thirty_rollouts_and_no_proposal(self) -> None:
        counted = run_counted(PRESETS["paper"], FakeScorer(always_perfect, pause=one_second), queries=180)
        assert counted.critic.requests == 0
        assert counted.target.requests == 30
        assert len(counted.scorer.judged) == 30
        assert counted.scorer.prepared.total() == 30
        assert counted.requests == 90
        assert counted.seconds == 60
        assert counted.result.best.system_prompt == SEED_PROMPT
        assert counted.result.stop_reason is StopReason.DEPTH

    @settings(max_examples=40)
    @given(
        width=st.integers(1, 4),
        proposals=st.integers(1, 4),
        depth=st.integers(2, 5),
        increase=st.integers(0, 3),
        minibatch=st.integers(1, 3),
        salt=st.text(max_size=4),
    )
    def test_no_search_makes_more_calls_than_the_estimate_allows(
        self, width: int, proposals: int, depth: int, increase: int, minibatch: int, salt: str
    ) -> None:
        config = SearchConfig(
            beam_width=width,
            proposals_per_candidate=proposals,
            depth=depth,
            max_depth_increase=increase,
            minibatch_size=minibatch,
        )
        scorer = FakeScorer(lambda query, response: scored(hashed_reward(salt, query.id, response)))
        counted = run_counted(config, scorer, queries=config.queries_needed)
        assert counted.requests <= search_calls(config).maximum
        assert len(counted.search.rounds_finished) <= config.max_rounds + 1


class TestInvariants:
    @settings(max_examples=40)
    @given(seed=st.integers(0, 2**31), minibatch=st.integers(1, 3), salt=st.text(max_size=4))
    def test_order_of_completion_changes_neither_the_tree_nor_the_events(
        self, seed: int, minibatch: int, salt: str
    ) -> None:
        def verdict(query: Query, response: str) -> Score:
            reward = hashed_reward(salt, query.id, response)
            return Unscored(reason="not read") if reward == 1 else scored(reward)

        def propose(path: BeamPath, round_number: int, slot: int, position: int) -> Proposal:
            text = f"{salt} {path.candidate.id} {round_number}.{slot}.{position}"
            failed = hashed_reward("proposal", text) < 1.5
            return Proposal(system_prompt=None if failed else text, rationale="as drawn")

        def run(pause: Pause) -> tuple[Search, SearchResult]:
            search = Search(
                config=SMALL.model_copy(update={"minibatch_size": minibatch}),
                target=CountingModel(ScriptedModel(answer_from_messages), pause),
                scorer=FakeScorer(verdict, pause=pause),
                proposer=FakeProposer(propose, pause=pause),
            )
            return search, run_virtually(search.run(make_queries(30)))[0]

        first, first_result = run(no_pause)
        second, second_result = run(shuffled_pause(seed))
        assert second_result == first_result
        assert second.recorded() == first.recorded()
        assert len(first.recorded()) == len(first.observer.events), "a key names one event"
        assert len(second.recorded()) == len(second.observer.events)

    @settings(max_examples=40)
    @given(salt=st.text(max_size=4), minibatch=st.integers(1, 3))
    async def test_a_kept_lineage_never_ranks_below_a_dropped_one(self, salt: str, minibatch: int) -> None:
        config = SMALL.model_copy(update={"minibatch_size": minibatch})
        scorer = FakeScorer(lambda query, response: scored(hashed_reward(salt, query.id, response)))
        search = Search(config=config, scorer=scorer)
        await search.run(make_queries(30))
        means = exact_path_means(search)
        for finished in search.rounds_finished[1:]:
            rewards = [means[finished.round, item.candidate_id] for item in finished.ranking]
            assert rewards == sorted(rewards, reverse=True)
            flags = [item.kept for item in finished.ranking]
            assert flags == [place < config.beam_width for place in range(len(flags))]
            assert [item.reward for item in finished.ranking] == pytest.approx([float(r) for r in rewards])

    @settings(max_examples=20)
    @given(salt=st.text(max_size=4), minibatch=st.integers(1, 3))
    async def test_all_candidates_of_a_round_see_the_same_queries(self, salt: str, minibatch: int) -> None:
        scorer = FakeScorer(lambda query, response: scored(hashed_reward(salt, query.id, response)))
        search = Search(config=SMALL.model_copy(update={"minibatch_size": minibatch}), scorer=scorer)
        queries = make_queries(30)
        await search.run(queries)
        seen: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
        for item in evaluations_of(search):
            seen[item.round, item.rollout.candidate_id].append(item.rollout.query.id)
        announced = {event.round: list(event.query_ids) for event in search.rounds_started}
        for (round_number, _), query_ids in seen.items():
            assert sorted(query_ids) == announced[round_number]
        in_order = [query_id for query_ids in announced.values() for query_id in query_ids]
        assert in_order == [query.id for query in queries[: len(in_order)]], "no query is used twice"

    @settings(max_examples=20)
    @given(salt=st.text(max_size=4))
    async def test_every_parent_exists_and_lies_in_an_earlier_round(self, salt: str) -> None:
        scorer = FakeScorer(lambda query, response: scored(hashed_reward(salt, query.id, response)))
        search = Search(config=SMALL, scorer=scorer)
        result = await search.run(make_queries(30))
        rounds = {"c0": 0}
        for event in search.proposed:
            candidate = event.candidate
            assert candidate.parent_id is not None
            assert rounds[candidate.parent_id] < candidate.round
            rounds[candidate.id] = candidate.round
        for path in result.beam:
            parents = [step.candidate for step in path.steps]
            for parent, child in itertools.pairwise(parents):
                assert child == parent or child.parent_id == parent.id

    async def test_a_repeated_search_asks_the_same_requests_with_the_same_seeds(self) -> None:
        first, second = ScriptedModel(answer_from_messages), ScriptedModel(answer_from_messages)
        scorers = FakeScorer(), FakeScorer()
        await Search(config=SMALL, target=first, scorer=scorers[0]).run(make_queries(10))
        await Search(config=SMALL, target=second, scorer=scorers[1]).run(make_queries(10))
        assert first.requests == second.requests
        assert scorers[0].seeds == scorers[1].seeds
        assert len(set(scorers[0].seeds)) == len(scorers[0].seeds), "each judge call draws for itself"

    async def test_another_seed_changes_the_seed_of_every_call(self) -> None:
        first, second = ScriptedModel(answer_from_messages), ScriptedModel(answer_from_messages)
        await Search(config=SMALL, target=first).run(make_queries(10))
        await Search(config=SMALL.model_copy(update={"seed": 1}), target=second).run(make_queries(10))
        assert not {item.seed for item in first.requests} & {item.seed for item in second.requests}


def exact_path_means(search: Search) -> dict[tuple[int, str], Fraction]:
    """The plain path mean of every (round, candidate), computed apart from the code under test."""
    rewards: defaultdict[tuple[int, str], list[Fraction]] = defaultdict(list)
    for item in evaluations_of(search):
        assert isinstance(item.score, Scored)
        rewards[item.round, item.rollout.candidate_id].append(Fraction(item.score.reward))
    parents = {event.candidate.id: event.candidate.parent_id for event in search.proposed}
    paths: dict[tuple[int, str], list[Fraction]] = {(0, "c0"): []}
    for round_number, candidate in sorted(rewards):
        if round_number == 0:
            continue
        previous = candidate if (round_number - 1, candidate) in paths else parents[candidate]
        assert previous is not None
        values = rewards[round_number, candidate]
        mean = sum(values, Fraction()) / len(values)
        paths[round_number, candidate] = [*paths[round_number - 1, previous], mean]
    return {key: sum(means, Fraction()) / len(means) for key, means in paths.items() if means}
