from collections.abc import Mapping

import pytest

from optimizer.budget import Budget
from optimizer.errors import BudgetExceededError
from optimizer.estimate import USUAL_RATES
from optimizer.protocols import StopCondition
from optimizer.race import Course, Race
from optimizer.standings import Standings
from optimizer.types import Query, Score, Unscored
from tests.fakes.chat_model import ScriptedModel
from tests.fakes.racing import PlannedCalls, paying
from tests.fakes.search import CountingModel, FakeScorer
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
from tests.optimizer.searching import answer_from_messages

QUERIES = make_queries(12)
BEST, GOOD, BAD, ODD = (bullets(f"Mind {name}.") for name in ("best", "good", "bad", "odd"))
PROMPTS = {"c0": "You are a helpful assistant.", "best": BEST, "good": GOOD, "bad": BAD, "odd": ODD}
SCORES = {"best": 4.5, "good": 4.0, "bad": 1.5}


def verdict(query: Query, response: str) -> Score:
    """As the prompt deserves; the odd one cannot be judged."""
    if "odd" in response:
        return Unscored(reason="not read")
    score = next((found for name, found in SCORES.items() if name in response), 3.0)
    return score_of({"Clarity": score + (0.5 if query.id in {"q001", "q003"} else 0.0)})


class Track:
    """A race over the prompts above; ``asked`` are the pairs of prompt and query that were answered."""

    def __init__(self, stop: StopCondition | None = None, *, budget: Budget | None = None) -> None:
        self.model = ScriptedModel(answer_from_messages)
        target = self.model if budget is None else CountingModel(self.model, paying(budget))
        self.world = RacingWorld(target=target, scorer=FakeScorer(verdict))
        self.standings: Standings = make_standings(PROMPTS)
        self.race = Race(
            self.standings,
            self.world.evaluator(),
            self.world.observer,
            stop or PlannedCalls(),
            USUAL_RATES,
        )

    async def screen(self, count: int = 6) -> "Track":
        """The seed prompt's answers to the first queries."""
        await self.race.answer(["c0"], QUERIES[:count], 0)
        return self

    @property
    def answered(self) -> Mapping[str, list[str]]:
        """By candidate, the queries that it answered, in their order."""
        return {name: list(found) for name, found in self.standings.evaluations.items()}


def course(
    *, queries: int = 6, block: int = 3, keep: int = 9, reserve: int = 0, give_up: float = 10
) -> Course:
    return Course(
        round=1,
        queries=QUERIES[:queries],
        block=block,
        reserve=reserve,
        keep=keep,
        drop_deviations=give_up,
    )


class TestARace:
    async def test_all_who_stay_answer_the_same_queries_block_by_block(self) -> None:
        track = await Track().screen()
        left = await track.race.run(["good", "best"], course())
        assert left == ("good", "best"), "in their own order"
        assert track.answered["good"] == track.answered["best"] == [query.id for query in QUERIES[:6]]
        assert track.answered["bad"] == []
        assert {item.round for item in track.standings.evaluations["good"].values()} == {1}

    async def test_losers_leave_after_a_block_and_the_record_says_why(self) -> None:
        track = await Track().screen()
        left = await track.race.run(["bad", "best"], course(keep=1, give_up=0))
        assert left == ("best",)
        assert len(track.answered["bad"]) == 3
        (event,) = track.world.dropped
        assert (event.candidate_id, event.leader_id, event.reason) == ("bad", "best", "unpromising")
        assert (event.round, event.pairs, event.difference) == (1, 3, -3.0)

    async def test_the_number_of_those_who_stay_is_halved_at_every_look(self) -> None:
        track = await Track().screen(9)
        left = await track.race.run(["best", "good", "bad"], course(queries=9, keep=2))
        dropped = {event.candidate_id: event.pairs for event in track.world.dropped}
        assert dropped == {"bad": 6}, "two others may stay at first, then one, and never none"
        assert left == ("best", "good")

    async def test_a_leader_who_takes_no_part_answers_what_it_has_not(self) -> None:
        track = await Track().screen(2)
        await track.race.run(["good"], course(queries=3))
        assert track.answered["c0"] == ["q000", "q001", "q002"]
        assert len(track.model.requests) == 2 + 1 + 3, "nothing is answered twice"

    async def test_a_leader_who_falls_behind_is_not_dragged_along(self) -> None:
        track = await Track().screen(3)
        await track.race.run(["best"], course())
        assert track.answered["c0"] == ["q000", "q001", "q002"]
        assert len(track.answered["best"]) == 6

    async def test_a_race_that_nobody_is_left_in_ends(self) -> None:
        track = await Track().screen(3)
        left = await track.race.run(["bad"], course(queries=9, give_up=0))
        assert left == ()
        assert track.answered["bad"] == ["q000", "q001", "q002"]
        assert await track.race.run([], course(queries=3)) == ()

    async def test_who_has_no_score_leaves_without_being_called_worse(self) -> None:
        track = await Track().screen()
        left = await track.race.run(["odd", "good"], course())
        assert left == ("good",)
        assert len(track.answered["odd"]) == 3
        assert "odd" not in {event.candidate_id for event in track.world.dropped}

    async def test_a_candidate_that_shares_no_scored_query_with_the_leader_has_no_difference(self) -> None:
        track = await Track().screen(3)
        await track.race.answer(["best"], QUERIES[6:9], 0)
        unscored = [evaluated("best", query, None) for query in QUERIES[:3]]
        track.standings.record(step_of(track.standings.candidates["best"], *unscored))
        await track.race.run(["bad"], course(queries=3, give_up=0))
        (event,) = track.world.dropped
        assert (event.candidate_id, event.leader_id) == ("bad", "best")
        assert (event.pairs, event.difference) == (0, None)

    async def test_where_nothing_can_be_scored_nobody_is_compared(self) -> None:
        track = Track()
        track.world.scorer = FakeScorer(lambda query, response: Unscored(reason="not read"))
        race = Race(
            track.standings, track.world.evaluator(), track.world.observer, PlannedCalls(), USUAL_RATES
        )
        await race.answer(["c0"], QUERIES[:3], 0)
        assert not track.standings.is_fitted
        assert await race._look(["good"], course()) == ["good"]


class TestTheBudget:
    async def test_a_block_that_does_not_fit_beside_what_is_kept_back_is_not_begun(self) -> None:
        budget = broke_after(100)
        track = await Track(budget).screen()
        left = await track.race.run(["best", "good"], course(reserve=100 - 15 + 1))
        assert left == ("best", "good"), "the first block is the caller's to allow"
        assert len(track.answered["best"]) == 3
        again = await Track(budget).screen()
        await again.race.run(["best", "good"], course(reserve=100 - 15))
        assert len(again.answered["best"]) == 6

    async def test_calls_are_those_of_missing_answers_and_of_new_queries(self) -> None:
        track = await Track().screen(2)
        assert track.race.calls(["c0"], QUERIES[:2]) == 0
        assert track.race.calls(["c0"], QUERIES[:3]) == 2 + 1
        assert track.race.calls(["c0", "good"], QUERIES[:3]) == 2 + 6 + 3

    async def test_a_block_that_the_budget_cuts_is_not_recorded(self) -> None:
        track = Track(budget=broke_after(4))
        await track.race.answer(["c0"], QUERIES[:3], 0)
        with pytest.raises(BudgetExceededError):
            await track.race.answer(["good"], QUERIES[:3], 1)
        assert track.answered["good"] == []
        assert track.standings.judged == 3
