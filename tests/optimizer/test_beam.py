from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.beam import RoundQuery, baselines, kept_reason, mean_reward, path_reward, rank, same_before
from optimizer.config import PathAggregation
from optimizer.types import BeamPath
from tests.optimizer.builders import make_path, make_step

MEAN, LAST = PathAggregation.MEAN, PathAggregation.LAST
rewards = st.integers(4, 20).map(lambda quarters: quarters / 4)


@st.composite
def lineages(draw: st.DrawFn, minimum: int = 1) -> list[list[list[float]]]:
    """Rewards of lineages of equal length on the same queries: [lineage][round][query]."""
    rounds, queries = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    step = st.lists(rewards, min_size=queries, max_size=queries)
    lineage = st.lists(step, min_size=rounds + 1, max_size=rounds + 1)
    return draw(st.lists(lineage, min_size=minimum, max_size=6))


def make_paths(table: Sequence[Sequence[Sequence[float | None]]]) -> list[BeamPath]:
    return [make_path(f"0.{slot}", rounds) for slot, rounds in enumerate(table)]


def known_of(paths: Sequence[BeamPath]) -> dict[RoundQuery, float]:
    known: dict[RoundQuery, float] = {}
    for steps in zip(*(path.steps for path in paths), strict=True):
        known |= baselines(steps)
    return known


def order(paths: Sequence[BeamPath], aggregation: PathAggregation = MEAN) -> list[str]:
    return [item.path.candidate.id for item in rank(paths, known_of(paths), aggregation)]


def exact_mean(values: Sequence[float]) -> Fraction:
    return sum(map(Fraction, values), Fraction()) / len(values)


def exact_path_mean(rounds: Sequence[Sequence[float]]) -> Fraction:
    """The mean of the steps' means, the seed prompt's step left out."""
    return sum((exact_mean(step) for step in rounds[1:]), Fraction()) / (len(rounds) - 1)


class TestRank:
    @given(lineages())
    def test_with_everything_scored_it_is_the_order_of_the_plain_path_means(
        self, table: list[list[list[float]]]
    ) -> None:
        paths = make_paths(table)
        means = {
            path.candidate.id: exact_path_mean(rounds) for path, rounds in zip(paths, table, strict=True)
        }
        expected = sorted((path.candidate.id for path in paths), key=lambda name: -means[name])
        assert order(paths) == expected

    @given(lineages())
    def test_by_last_reward_only_the_last_round_counts(self, table: list[list[list[float]]]) -> None:
        paths = make_paths(table)
        last = {path.candidate.id: exact_mean(rounds[-1]) for path, rounds in zip(paths, table, strict=True)}
        expected = sorted((path.candidate.id for path in paths), key=lambda name: -last[name])
        assert order(paths, LAST) == expected

    @given(lineages(minimum=2), st.data(), st.sampled_from(list(PathAggregation)))
    def test_a_lost_score_of_one_lineage_leaves_the_order_of_the_others(
        self, table: list[list[list[float]]], data: st.DataObject, aggregation: PathAggregation
    ) -> None:
        before = order(make_paths(table), aggregation)
        slot = data.draw(st.integers(0, len(table) - 1))
        lost: list[list[list[float | None]]] = [[list(step) for step in rounds] for rounds in table]
        place = data.draw(st.integers(0, len(lost[slot][-1]) - 1))
        lost[slot][-1][place] = None
        after = order(make_paths(lost), aggregation)
        changed = make_paths(table)[slot].candidate.id
        assert [name for name in after if name != changed] == [name for name in before if name != changed]

    @given(lineages(minimum=2))
    def test_a_lineage_without_any_score_comes_last(self, table: list[list[list[float]]]) -> None:
        blank: list[list[float | None]] = [[None] * len(step) for step in table[0]]
        paths = make_paths([blank, *table[1:]])
        ranked = rank(paths, known_of(paths), MEAN)
        assert ranked[-1].path is paths[0]
        assert ranked[-1].advantage is None
        assert all(item.advantage is not None for item in ranked[:-1])

    def test_ties_keep_their_order(self) -> None:
        paths = make_paths([[[1], [3], [4]], [[1], [4], [3]], [[1], [5], [5]], [[1], [3.5], [3.5]]])
        assert order(paths) == ["c2.0.2", "c2.0.0", "c2.0.1", "c2.0.3"]

    def test_sums_that_differ_only_by_rounding_are_ties(self) -> None:
        paths = make_paths(
            [[[1], [1.1], [1.2], [1.3]], [[1], [1.3], [1.1], [1.2]], [[1], [1.2], [1.3], [1.1]]]
        )
        assert order(paths) == ["c3.0.0", "c3.0.1", "c3.0.2"]

    def test_having_missed_a_hard_query_is_no_merit(self) -> None:
        paths = make_paths([[[3], [4.0, None]], [[3], [4.5, 1.5]], [[3], [3.5, 1.0]]])
        assert order(paths)[0] == "c1.0.1", "its plain mean of 3 is below 4, on a harder lot of queries"

    def test_having_missed_an_easy_query_is_no_fault(self) -> None:
        paths = make_paths([[[3], [4.5, 1.5]], [[3], [None, 2.5]], [[3], [4.5, 1.0]]])
        assert order(paths)[0] == "c1.0.1"

    def test_a_search_that_has_just_begun_has_nothing_to_rank_by(self) -> None:
        path = make_path("0.0", [[4]])
        ranked = rank([path], known_of([path]), MEAN)
        assert [item.advantage for item in ranked] == [None]


class TestRewards:
    def test_a_mean_leaves_out_what_is_unscored(self) -> None:
        assert mean_reward([make_step("c1", 1, [4, None, 2])]) == 3
        assert mean_reward([make_step("c1", 1, [None]), make_step("c1", 2, [5])]) == 5

    def test_each_round_weighs_the_same(self) -> None:
        assert mean_reward([make_step("c1", 1, [5, None, None]), make_step("c1", 2, [1, 1, 1])]) == 3

    def test_nothing_scored_has_no_mean(self) -> None:
        assert mean_reward([make_step("c1", 1, [None, None])]) is None
        assert mean_reward([]) is None

    @given(st.lists(rewards, min_size=1, max_size=6), st.integers(0, 6))
    def test_an_unscored_evaluation_never_moves_a_mean(self, values: list[float], place: int) -> None:
        with_gap: list[float | None] = [*values]
        with_gap.insert(place, None)
        assert mean_reward([make_step("c1", 1, with_gap)]) == mean_reward([make_step("c1", 1, values)])

    def test_the_seed_prompts_step_is_no_part_of_the_path_reward(self) -> None:
        path = make_path("0.0", [[1], [4], [5]])
        assert path_reward(path, MEAN) == 4.5
        assert path_reward(path, LAST) == 5
        assert path_reward(make_path("0.0", [[1]]), MEAN) is None
        assert path_reward(make_path("0.0", [[1]]), LAST) is None

    def test_the_last_reward_is_missing_when_the_last_round_is_unscored(self) -> None:
        path = make_path("0.0", [[1], [4], [None]])
        assert path_reward(path, LAST) is None
        assert path_reward(path, MEAN) == 4


class TestSkipRule:
    @pytest.mark.parametrize(
        ("scores", "threshold", "reason"),
        [
            ([5.0], 4.5, "easy"),
            ([4.6], 4.5, "easy"),
            ([4.5], 4.5, None),
            ([3.0], 4.5, None),
            ([5.0], 5.0, None),
            ([5.0, 4.9], 5.0, None),
            ([5.0, 4.2], 4.5, "easy"),
            ([5.0, None], 4.5, "easy"),
            ([None, 3.0], 4.5, None),
            ([None], 4.5, "unscored"),
            ([None, None], 4.5, "unscored"),
        ],
    )
    def test_a_prompt_is_carried_on_when_it_is_easy_or_unscored(
        self, scores: list[float | None], threshold: float, reason: str | None
    ) -> None:
        assert kept_reason(make_step("c1", 1, scores), threshold) == reason


class TestBaselines:
    def test_they_are_the_mean_over_candidates_for_each_query(self) -> None:
        steps = [make_step("c1.0.0", 1, [2, 5]), make_step("c1.0.1", 1, [4, None])]
        assert baselines(steps) == {(1, "q1.0"): 3, (1, "q1.1"): 5}

    def test_a_query_without_any_score_has_none(self) -> None:
        assert baselines([make_step("c1.0.0", 1, [None])]) == {}

    @given(lineages(minimum=2))
    def test_advantages_of_a_fully_scored_round_add_up_to_nothing(
        self, table: list[list[list[float]]]
    ) -> None:
        paths = make_paths(table)
        advantages = [item.advantage for item in rank(paths, known_of(paths), MEAN)]
        assert sum(value for value in advantages if value is not None) == pytest.approx(0, abs=1e-6)


def test_equal_prompts_are_counted_from_the_front() -> None:
    assert same_before(["a", "b", "a", "a", "b"]) == [0, 0, 1, 2, 1]
    assert same_before([]) == []
