import dataclasses

import pytest

from optimizer.errors import DrpoError
from optimizer.estimate import CallRates
from optimizer.standings import Standings
from optimizer.types import CriterionScore, Score, Scored
from tests.optimizer.builders import make_queries
from tests.optimizer.racing_world import SEED_PROMPT, bullets, evaluated, make_standings, step_of

QUERIES = make_queries(12)
PROMPTS = {
    "c0": SEED_PROMPT,
    "c1.0.0": bullets("Mind Clarity."),
    "c1.0.1": bullets("Mind Clarity.", "Mind Depth."),
}


def verdict(criterion: str, score: float, *, weight: float = 1.0, required: bool = False) -> CriterionScore:
    return CriterionScore(criterion=criterion, score=score, rationale="", weight=weight, required=required)


def reward_of(*verdicts: CriterionScore) -> Scored:
    failed = any(item.required and item.score <= 1 for item in verdicts)
    counted = [item for item in verdicts if item.weight > 0]
    mean = (
        sum(item.score * item.weight for item in counted) / sum(item.weight for item in counted)
        if counted
        else 1
    )
    return Scored(reward=1.0 if failed else mean, criteria=verdicts)


async def standings_after(**answers: list[float | None]) -> Standings:
    """Standings in which candidates got these scores for clarity on the first queries."""
    names = {"seed": "c0", "one": "c1.0.0", "two": "c1.0.1"}
    standings = make_standings(PROMPTS)
    for short, scores in answers.items():
        name = names[short]
        standings.record(
            step_of(
                standings.candidates[name],
                *(
                    evaluated(name, query, None if score is None else {"Clarity": score})
                    for query, score in zip(QUERIES, scores, strict=False)
                ),
            )
        )
    await standings.refit()
    return standings


class TestCandidates:
    def test_a_prompt_that_was_there_before_is_not_taken_in_again(self) -> None:
        standings = make_standings(PROMPTS)
        again = dataclasses.replace(
            standings.candidates["c1.0.0"], id="c2.0.0", system_prompt=f" {PROMPTS['c1.0.0']}\n"
        )
        assert not standings.add(again, ["Depth"])
        assert list(standings.candidates) == list(PROMPTS)

    async def test_who_has_no_score_cannot_lead(self) -> None:
        standings = await standings_after(seed=[2, 2, 2], one=[None, None])
        assert standings.scored() == ["c0"]
        assert standings.leader() == "c0"
        assert standings.best(5) == ["c0"]

    async def test_the_best_lead_and_of_equal_ones_the_oldest(self) -> None:
        standings = await standings_after(seed=[2] * 6, one=[4] * 6, two=[3] * 6)
        assert standings.leader() == "c1.0.0"
        assert standings.best(2) == ["c1.0.0", "c1.0.1"]
        assert standings.best(9) == ["c1.0.0", "c1.0.1", "c0"]

    async def test_length_has_its_price(self) -> None:
        standings = make_standings(PROMPTS, length_price=2.0)
        standings.record(step_of(standings.candidates["c0"], evaluated("c0", QUERIES[0], {"Clarity": 3})))
        await standings.refit()
        words = len(PROMPTS["c1.0.1"].split())
        value = standings.posterior.reward("c1.0.1") - 0.02 * words
        assert standings.value("c1.0.1") == pytest.approx(value)

    async def test_a_path_holds_a_candidate_with_all_its_evaluations(self) -> None:
        standings = await standings_after(seed=[2, None, 3])
        path = standings.path("c0")
        assert path.candidate == standings.candidates["c0"]
        assert [item.rollout.query for item in path.last.evaluations] == list(QUERIES[:3])


class TestEvaluations:
    async def test_before_any_score_there_is_no_posterior(self) -> None:
        standings = await standings_after(seed=[None, None])
        assert not standings.is_fitted
        with pytest.raises(DrpoError, match="nothing has been scored yet"):
            standings.posterior  # noqa: B018 - the point

    async def test_what_is_unscored_is_counted_and_enters_no_mean(self) -> None:
        standings = await standings_after(seed=[2, None, 4], one=[None, 4, 5])
        assert (standings.judged, standings.unscored) == (6, 2)
        assert standings.rewards("c0") == {"q000": 2, "q002": 4}
        assert standings.mean_reward("c0", QUERIES) == 3
        assert standings.mean_reward("c0", QUERIES[1:2]) is None
        assert standings.differences("c1.0.0", "c0") == (1,)

    async def test_an_unscored_answer_teaches_nothing(self) -> None:
        without = await standings_after(seed=[2, 3, 4], one=[3, 4])
        with_unscored = await standings_after(seed=[2, 3, 4], one=[3, 4, None])
        for name in ("c0", "c1.0.0", "c1.0.1"):
            assert with_unscored.value(name) == without.value(name)

    async def test_a_query_that_was_answered_is_not_missing_even_without_a_score(self) -> None:
        standings = await standings_after(seed=[2, None])
        assert standings.missing("c0", QUERIES[:4]) == list(QUERIES[2:4])
        assert standings.missing("c1.0.0", QUERIES[:2]) == list(QUERIES[:2])

    async def test_calls_are_those_of_all_answers_and_of_each_query_once(self) -> None:
        standings = await standings_after(seed=[2, None, 3], one=[4, 4])
        assert standings.calls(CallRates()) == 2 * 5 + 3
        assert standings.calls(CallRates(rollout=3, query=2)) == 3 * 5 + 2 * 3

    async def test_what_queries_call_for_is_counted_once_a_query(self) -> None:
        standings = await standings_after(seed=[2, 2], one=[3, 3, 3])
        assert standings.answers == {"Clarity": 3}


class TestWhatCounts:
    async def fit(self, seed: Score, *others: Score) -> Standings:
        """Standings in which each candidate got the same verdict on four queries."""
        standings = make_standings(PROMPTS)
        names = list(PROMPTS)
        seeds = [evaluated("c0", item, seed) for item in QUERIES[:4]]
        standings.record(step_of(standings.candidates["c0"], *seeds))
        for name, score in zip(names[1:], others, strict=False):
            found = [evaluated(name, item, score) for item in QUERIES[:4]]
            standings.record(step_of(standings.candidates[name], *found))
        await standings.refit()
        return standings

    async def test_a_criterion_without_weight_is_no_part_of_it(self) -> None:
        standings = await self.fit(reward_of(verdict("Clarity", 3), verdict("Shown", 1, weight=0)))
        assert set(standings.posterior.weights) == {"Clarity"}
        assert standings.answers == {"Clarity": 4}

    async def test_a_requirement_that_is_met_changes_nothing(self) -> None:
        met = reward_of(verdict("Clarity", 3), verdict("Length", 5, weight=0, required=True))
        plain = await self.fit(reward_of(verdict("Clarity", 3)))
        standings = await self.fit(met)
        assert standings.posterior.weights == {"Clarity": 1.0}
        assert standings.posterior.reward("c0") == plain.posterior.reward("c0")

    async def test_a_requirement_that_is_not_met_counts_as_the_lowest_score_on_everything(self) -> None:
        met = reward_of(verdict("Clarity", 4), verdict("Length", 5, weight=0, required=True))
        failed = reward_of(verdict("Clarity", 4), verdict("Length", 1, weight=0, required=True))
        standings = await self.fit(met, failed, met)
        assert standings.posterior.reward("c1.0.0") < 2.2
        assert standings.leader() != "c1.0.0"

    async def test_it_also_counts_where_nobody_was_asked_about_the_rest(self) -> None:
        met = reward_of(verdict("Clarity", 4), verdict("Length", 5, weight=0, required=True))
        failed = reward_of(verdict("Length", 1, weight=0, required=True))
        after, before = await self.fit(met, failed), await self.fit(failed, met)
        assert after.posterior.weights == before.posterior.weights == {"Clarity": 1.0}
        assert after.posterior.reward("c1.0.0") < 2.2 < after.posterior.reward("c0")
        assert before.posterior.reward("c0") < 2.2 < before.posterior.reward("c1.0.0")

    async def test_where_all_answers_fail_a_requirement_it_is_what_there_is_to_improve(self) -> None:
        standings = await self.fit(reward_of(verdict("Length", 1, weight=0, required=True)))
        assert standings.is_fitted
        assert standings.posterior.weights == {"Length": 1.0}
        assert standings.posterior.reward("c0") < 1.5
        assert standings.answers == {"Length": 4}

    async def test_new_lines_are_expected_to_help_where_they_were_aimed(self) -> None:
        standings = await standings_after(seed=[2, 2, 2])
        assert standings.value("c1.0.0") > standings.value("c0")
