from collections.abc import Sequence

import pytest

from optimizer.config import RacingConfig
from optimizer.estimate import USUAL_RATES
from optimizer.final import Final
from optimizer.preferences import Comparison, Preference, Uncompared
from optimizer.protocols import StopCondition
from optimizer.race import Race
from optimizer.standings import Standings
from optimizer.types import Query, Score
from tests.fakes.racing import FakePairwiseJudge, PlannedCalls, Prefer
from tests.fakes.search import FakeScorer
from tests.optimizer.builders import make_queries
from tests.optimizer.racing_world import (
    RacingWorld,
    broke_after,
    bullets,
    evaluated,
    make_standings,
    score_of,
    step_of,
)

QUERIES = make_queries(10)
PROMPTS = {
    "c0": "You are a helpful assistant.",
    **{name: bullets(f"Mind {name}.") for name in ("old", "new")},
}


def prefers(value: float) -> Prefer:
    return lambda query, first, second: Preference(value=value)


class Ending:
    """A final between candidates who have these scores on the first queries, all else as the world has it."""

    def __init__(
        self,
        *,
        old: Sequence[float | None] = (4, 4, 4, 4),
        new: Sequence[float | None] = (4, 4, 4, 4),
        later: float = 4.0,
        stop: StopCondition | None = None,
    ) -> None:
        def verdict(query: Query, response: str) -> Score:
            return score_of({"Clarity": later if "new" in response else 4.0})

        self.world = RacingWorld(scorer=FakeScorer(verdict))
        self.standings: Standings = make_standings(PROMPTS)
        self._stop = stop or PlannedCalls()
        for name, scores in {"c0": (2, 2, 2, 2), "old": old, "new": new}.items():
            found = [
                evaluated(
                    name,
                    query,
                    None if score is None else {"Clarity": score},
                    answer=f"{query.id} from {name}",
                )
                for query, score in zip(QUERIES, scores, strict=False)
            ]
            self.standings.record(step_of(self.standings.candidates[name], *found))

    async def run(
        self,
        pairwise: FakePairwiseJudge | None = None,
        *,
        queries: int = 4,
        config: RacingConfig | None = None,
        seed: int = 0,
    ) -> str:
        await self.standings.refit()
        race = Race(self.standings, self.world.evaluator(), self.world.observer, self._stop, USUAL_RATES)
        final = Final(race, pairwise, config=config or RacingConfig(), seed=seed)
        return await final.run(QUERIES[:queries], 5)


class TestOnAllQueries:
    async def test_finalists_answer_what_they_have_not_and_the_best_wins(self) -> None:
        ending = Ending(old=(4, 4, 4, 4), new=(4, 4.5, 4, 4), later=2.0)
        assert await ending.run(queries=10) == "old"
        assert len(ending.standings.evaluations["old"]) == 10
        assert {item.round for item in ending.world.evaluations} == {5}

    async def test_only_so_many_are_finalists(self) -> None:
        ending = Ending(new=(4.5, 4.5, 4.5, 4.5))
        await ending.run(queries=10, config=RacingConfig(finalists=2))
        assert len(ending.standings.evaluations["c0"]) == 4

    async def test_a_lone_candidate_wins_without_a_race(self) -> None:
        ending = Ending(old=(None,) * 4, new=(None,) * 4)
        assert await ending.run(FakePairwiseJudge(), queries=10) == "c0"
        assert ending.world.evaluations == []
        assert ending.world.compared == []

    async def test_a_budget_without_room_for_two_queries_decides_on_what_is_known(self) -> None:
        ending = Ending(new=(4.5, 4.5, 4.5, 4.5), later=1.0, stop=broke_after(2 * 3 * 2 + 1))
        assert await ending.run(queries=10) == "new"
        assert ending.world.evaluations == []

    async def test_with_nothing_left_to_ask_the_best_wins_at_once(self) -> None:
        ending = Ending(new=(4.5, 4.5, 4.5, 4.5))
        assert await ending.run() == "new"
        assert ending.world.evaluations == []


class TestPairByPair:
    @pytest.mark.parametrize(
        ("value", "winner"), [(1.0, "new"), (0.25, "new"), (-0.25, "old"), (-1.0, "old")]
    )
    async def test_the_preferred_one_wins_where_rewards_tie(self, value: float, winner: str) -> None:
        ending, pairwise = Ending(), FakePairwiseJudge(prefers(value))
        assert await ending.run(pairwise) == winner
        (event,) = ending.world.compared
        assert (event.first_id, event.second_id, event.winner_id) == ("old", "new", winner)
        assert (event.round, event.pairs, event.uncompared, event.preference) == (5, 4, 0, value)
        assert pairwise.pairs[0] == ("q000", "q000 from old", "q000 from new"), "the older one comes first"

    async def test_the_older_one_comes_first_also_where_the_newer_one_leads(self) -> None:
        ending, pairwise = Ending(new=(4, 4, 4, 4.1)), FakePairwiseJudge(prefers(-1.0))
        assert await ending.run(pairwise) == "old"
        assert pairwise.pairs[0][1:] == ("q000 from old", "q000 from new")

    async def test_where_neither_is_preferred_the_older_of_equals_stays(self) -> None:
        ending = Ending()
        assert await ending.run(FakePairwiseJudge(prefers(0.0))) == "old"
        assert ending.world.compared[0].winner_id == "old"

    async def test_what_could_not_be_compared_counts_for_nobody(self) -> None:
        def prefer(query: Query, first: str, second: str) -> Comparison:
            return Preference(value=0.5) if query.id == "q002" else Uncompared(reason="not read")

        ending = Ending()
        assert await ending.run(FakePairwiseJudge(prefer)) == "new"
        (event,) = ending.world.compared
        assert (event.pairs, event.uncompared, event.preference) == (4, 3, 0.5)

    async def test_where_nothing_could_be_compared_the_leader_stays(self) -> None:
        ending = Ending(new=(4, 4, 4, 4.1))
        judge = FakePairwiseJudge(lambda query, first, second: Uncompared(reason="not read"))
        assert await ending.run(judge) == "new"
        (event,) = ending.world.compared
        assert (event.uncompared, event.preference, event.winner_id) == (4, 0.0, "new")

    async def test_a_clear_lead_asks_nobody(self) -> None:
        ending, pairwise = Ending(new=(5, 5, 5, 5)), FakePairwiseJudge(prefers(-1.0))
        assert await ending.run(pairwise) == "new"
        assert pairwise.pairs == []
        assert ending.world.compared == []

    async def test_without_a_judge_of_pairs_a_tie_goes_to_the_older_one(self) -> None:
        assert await Ending().run(None) == "old"

    async def test_only_different_answers_of_both_are_compared(self) -> None:
        ending, pairwise = Ending(old=(4, 4, 4, 4), new=(4, 4, 4)), FakePairwiseJudge(prefers(1.0))
        own = ending.standings.evaluations
        own["new"]["q000"] = evaluated("new", QUERIES[0], {"Clarity": 4}, answer="q000 from old")
        own["new"]["q001"] = evaluated("new", QUERIES[1], None, answer=None)
        own["old"]["q004"] = evaluated("old", QUERIES[4], {"Clarity": 4}, answer=None)
        own["new"]["q004"] = evaluated("new", QUERIES[4], {"Clarity": 4}, answer="q004 from new")
        ending._stop = broke_after(2)
        await ending.run(pairwise, queries=5, config=RacingConfig(tie_margin=4))
        assert [query for query, _, _ in pairwise.pairs] == ["q002"]

    async def test_there_is_nothing_to_compare_where_all_answers_are_alike(self) -> None:
        ending, pairwise = Ending(), FakePairwiseJudge(prefers(1.0))
        for query in QUERIES[:4]:
            same = evaluated("new", query, {"Clarity": 4}, answer=f"{query.id} from old")
            ending.standings.evaluations["new"][query.id] = same
        assert await ending.run(pairwise) == "old"
        assert ending.world.compared == []

    async def test_at_most_six_pairs_are_compared_each_with_a_seed_of_its_own(self) -> None:
        scores = (4,) * 10
        ending, pairwise = Ending(old=scores, new=scores), FakePairwiseJudge(prefers(1.0))
        await ending.run(pairwise, queries=10)
        assert len(pairwise.pairs) == 6
        assert len(set(pairwise.seeds)) == 6
        other = FakePairwiseJudge(prefers(1.0))
        await Ending(old=scores, new=scores).run(other, queries=10, seed=1)
        assert not set(other.seeds) & set(pairwise.seeds)

    @pytest.mark.parametrize(("calls", "asked"), [(7, 0), (8, 4)])
    async def test_pairs_that_the_budget_does_not_reach_are_not_begun(self, calls: int, asked: int) -> None:
        pairwise = FakePairwiseJudge(prefers(1.0))
        winner = await Ending(stop=broke_after(calls)).run(pairwise)
        assert len(pairwise.pairs) == asked
        assert winner == ("new" if asked else "old")
