import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from optimizer.racing import LEVEL, DropReason, Standing, confidence_sequence, drop

Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]

differences = st.lists(st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]), min_size=4, max_size=40)


def judged(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """Rewards in half points of two equal candidates, each a mean over three criteria."""
    halves = [np.clip(np.round(2 * (3.6 + rng.normal(0, 0.8, (*size, 3)))) / 2, 1, 5) for _ in range(2)]
    means: NDArray[np.float64] = halves[0].mean(axis=2) - halves[1].mean(axis=2)
    return means


def heavy(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """Quarter points with the tails of a t distribution with three degrees of freedom."""
    found: NDArray[np.float64] = np.round(2 * rng.standard_t(3, size)) / 4
    return found


def mostly_equal(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """The same answer on most queries, a large difference on a few."""
    return rng.choice(np.array([-2.0, 0, 0, 0, 0, 0, 0, 0, 2.0]), size)


def in_steps(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """A whole point better, worse or equal: a few may be alike by chance."""
    return rng.choice(np.array([-1.0, 0.0, 1.0]), size)


def ends_at_all_looks(rows: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """The ends of the intervals of every sequence after 4, 5, ... pairs: shape (sequences, looks, 2)."""
    looks = range(4, rows.shape[1] + 1)
    return np.array(
        [[confidence_sequence(row[:look], level=level) for look in looks] for row in rows.tolist()]
    )


class TestTheConfidenceSequence:
    @pytest.mark.parametrize("draw", [judged, heavy, mostly_equal, in_steps])
    def test_it_rarely_misses_a_mean_of_zero_at_any_look(self, draw: Draw) -> None:
        rows = draw(np.random.default_rng(11), (2000, 24))
        ends = ends_at_all_looks(rows, LEVEL)
        above, below = (ends[..., 1] < 0).any(axis=1), (ends[..., 0] > 0).any(axis=1)
        slack = 3 * math.sqrt(LEVEL * (1 - LEVEL) / len(rows))
        assert (above | below).mean() <= LEVEL + slack
        assert above.mean() <= LEVEL, "the claim that a candidate is beaten is one-sided"

    def test_it_rarely_misses_at_the_level_of_a_large_race(self) -> None:
        rows = judged(np.random.default_rng(12), (2000, 24))
        ends = ends_at_all_looks(rows, LEVEL / 10)
        assert ((ends[..., 0] > 0) | (ends[..., 1] < 0)).mean() <= 2 * LEVEL / 10

    def test_a_clear_difference_is_seen_soon(self) -> None:
        rows = judged(np.random.default_rng(13), (200, 32)) - 1.0
        ends = ends_at_all_looks(rows, LEVEL)
        assert (ends[..., 1] < 0).any(axis=1).mean() > 0.9
        assert (ends[:, 8, 1] < 0).mean() > 0.3, "after twelve pairs in many cases"

    @pytest.mark.parametrize("count", [0, 1, 2, 3])
    def test_fewer_than_four_pairs_say_nothing(self, count: int) -> None:
        assert confidence_sequence([-4.0] * count) == (-math.inf, math.inf)

    def test_a_few_equal_differences_are_no_certainty(self) -> None:
        low, high = confidence_sequence([0.5] * 4)
        assert low < 0 < high

    @given(differences, st.floats(-2, 2))
    def test_it_lies_around_the_mean_and_moves_with_it(self, values: list[float], shift: float) -> None:
        low, high = confidence_sequence(values)
        assert (low + high) / 2 == pytest.approx(np.mean(values), abs=1e-9)
        moved = confidence_sequence([value + shift for value in values])
        assert moved == pytest.approx((low + shift, high + shift), abs=1e-6)

    @given(differences)
    def test_a_smaller_chance_of_missing_takes_a_wider_interval(self, values: list[float]) -> None:
        widths = [np.diff(confidence_sequence(values, level=level))[0] for level in (0.2, 0.05, 0.01, 0.001)]
        assert all(one < other for one, other in itertools.pairwise(widths))

    @given(differences)
    def test_the_order_of_the_pairs_says_nothing(self, values: list[float]) -> None:
        assert confidence_sequence(sorted(values)) == pytest.approx(confidence_sequence(values), abs=1e-9)

    @given(differences)
    def test_seeing_the_same_again_makes_it_narrower(self, values: list[float]) -> None:
        widths = [np.diff(confidence_sequence(values * times))[0] for times in (1, 2, 4, 8)]
        assert all(one > other for one, other in itertools.pairwise(widths))


def standing(name: str, value: float, *pairs: float, deviation: float = 0.1) -> Standing:
    return Standing(candidate_id=name, value=value, deviation=deviation, differences=pairs)


CLEARLY_WORSE = (-2.0, -1.5, -2.0, -1.5, -2.0, -1.5, -2.0, -1.5)

fields = st.lists(
    st.builds(
        Standing,
        candidate_id=st.sampled_from("abcdefgh"),
        value=st.floats(-2, 2),
        deviation=st.floats(0, 1),
        differences=st.one_of(st.just(()), st.just(CLEARLY_WORSE), differences.map(tuple)),
    ),
    max_size=8,
    unique_by=lambda item: item.candidate_id,
)


class TestWhoIsDropped:
    def test_the_beaten_leave_with_a_claim_and_the_unpromising_without_one(self) -> None:
        field = [
            standing("leader", 1.0, deviation=0),
            standing("beaten", 0.9, *CLEARLY_WORSE),
            standing("close", 0.95, -0.5, 0.5, -0.5, 0.5),
            standing("far behind", 0.5, -0.5, 0.5),
        ]
        assert drop(field, leader_id="leader", keep=9, patience=1.0) == {
            "beaten": DropReason.BEATEN,
            "far behind": DropReason.UNPROMISING,
        }

    def test_a_candidate_whose_distance_is_unsure_gets_more_time(self) -> None:
        field = [standing("leader", 1.0), standing("unsure", 0.5, deviation=0.6)]
        assert drop(field, leader_id="leader", keep=9, patience=1.0) == {}
        assert drop(field, leader_id="leader", keep=9, patience=0.5) == {"unsure": DropReason.UNPROMISING}

    def test_the_best_others_stay_where_there_are_too_many_and_ties_keep_the_earlier(self) -> None:
        field = [standing("a", 0.5), standing("b", 0.7), standing("leader", 0.7), standing("c", 0.7)]
        assert drop(field, leader_id="leader", keep=1, patience=99) == {
            "c": DropReason.UNPROMISING,
            "a": DropReason.UNPROMISING,
        }

    def test_a_larger_field_takes_more_to_be_called_beaten(self) -> None:
        behind = standing("behind", 1.0, *(-0.4, -1.2) * 5)
        few = [standing("leader", 1.0), behind]
        many = [*few, *(standing(f"other {number}", 1.0) for number in range(30))]
        assert drop(few, leader_id="leader", keep=99, patience=99) == {"behind": DropReason.BEATEN}
        assert drop(many, leader_id="leader", keep=99, patience=99) == {}

    def test_without_the_leader_in_the_race_nobody_is_given_up_for_being_behind(self) -> None:
        field = [standing("a", -3.0), standing("b", 2.0), standing("c", 0.0)]
        assert drop(field, leader_id="elsewhere", keep=2, patience=0) == {"a": DropReason.UNPROMISING}

    def test_nobody_leaves_an_empty_race(self) -> None:
        assert drop([], leader_id="leader", keep=1, patience=1) == {}

    @given(fields, st.sampled_from("abcdefgh"), st.integers(0, 8), st.floats(0, 3))
    def test_whatever_happens_the_leader_stays_and_at_most_so_many_others(
        self, field: list[Standing], leader: str, keep: int, patience: float
    ) -> None:
        dropped = drop(field, leader_id=leader, keep=keep, patience=patience)
        names = {item.candidate_id for item in field}
        assert leader not in dropped
        assert set(dropped) <= names
        assert len(names - {leader} - set(dropped)) <= keep
        level = LEVEL / max(1, len(field))
        for item in field:
            beaten = confidence_sequence(item.differences, level=level)[1] < 0
            if item.candidate_id != leader:
                assert (dropped.get(item.candidate_id) is DropReason.BEATEN) == beaten

    @given(fields, st.sampled_from("abcdefgh"), st.integers(0, 8))
    def test_who_stays_is_never_worth_less_than_who_was_given_up(
        self, field: list[Standing], leader: str, keep: int
    ) -> None:
        dropped = drop(field, leader_id=leader, keep=keep, patience=math.inf)
        stay = [item.value for item in field if item.candidate_id not in {leader, *dropped}]
        given_up = [item.value for item in field if dropped.get(item.candidate_id) is DropReason.UNPROMISING]
        assert not stay or not given_up or min(stay) >= max(given_up)
