import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from optimizer.statistics import (
    CONFIDENCE,
    MOST_PAIRS,
    POWER,
    PRIOR_GAIN_PAIRS,
    PRIOR_PAIRS,
    USUAL_DEVIATION,
    USUAL_GAIN,
    max_t_quantile,
    pairs_needed,
    plausible_gain,
    simultaneous_differences,
    spread_of,
    upper_end,
)
from optimizer.verdicts import PairedDifference

Floats = npt.NDArray[np.float64]
pairs = st.lists(st.tuples(st.floats(1, 5), st.floats(1, 5)), min_size=2, max_size=40)
differences = st.lists(st.floats(-4, 4), min_size=2, max_size=40)


def one(baseline: list[float], treated: list[float]) -> PairedDifference:
    (found,) = simultaneous_differences(baseline, [treated])
    return found


def graded(latent: Floats, noise: float, draws: np.random.Generator) -> Floats:
    """Rewards as judges give them: means of four coarse scores, with a ceiling."""
    cuts = np.array([-1.6, -0.8, 0.0, 0.8])
    scores = [
        1 + ((latent + draws.normal(0, noise, latent.shape))[..., None] > cuts).sum(-1) for _ in range(4)
    ]
    rewards: Floats = np.stack(scores).mean(axis=0)
    return rewards


@given(pairs)
def test_the_interval_is_at_least_that_of_the_t_test_on_the_moderated_spread(
    values: list[tuple[float, float]],
) -> None:
    baseline, treated = (list(side) for side in zip(*values, strict=True))
    found = one(baseline, treated)
    spread = spread_of([after - before for before, after in values])
    margin = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1)) * spread.error
    assert found.pairs == len(values)
    assert found.mean == pytest.approx(float(np.mean(treated) - np.mean(baseline)), abs=1e-9)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.mean - margin + 1e-9
    assert found.high >= found.mean + margin - 1e-9


@given(pairs)
def test_swapping_the_prompts_mirrors_the_interval(values: list[tuple[float, float]]) -> None:
    baseline, treated = (list(side) for side in zip(*values, strict=True))
    forth, back = one(baseline, treated), one(treated, baseline)
    assert forth.low is not None
    assert back.high is not None
    assert forth.mean == pytest.approx(-back.mean, abs=1e-12)
    assert forth.low == pytest.approx(-back.high, abs=1e-6)


def test_pairs_that_all_differ_by_the_same_still_leave_some_doubt() -> None:
    few, many = (one([3.0] * count, [4.0] * count) for count in (8, 200))
    assert few.low is not None
    assert many.low is not None
    assert 0.7 < few.low < 0.9
    assert 0.98 < many.low < 1


def test_a_tail_of_great_losses_widens_the_interval_towards_them() -> None:
    treated = [3.3] * 18 + [1.0] * 2
    found = one([3.0] * 20, treated)
    assert found.low is not None
    assert found.high is not None
    assert found.mean - found.low > found.high - found.mean
    spread = spread_of([value - 3.0 for value in treated])
    assert spread.skewness < -1
    gains = [2.7] * 18 + [5.0] * 2
    mirrored = one([3.0] * 20, gains)
    assert mirrored.high is not None
    assert mirrored.high - mirrored.mean == pytest.approx(found.mean - found.low)


def test_a_single_pair_has_no_interval() -> None:
    assert one([3], [4]) == PairedDifference(pairs=1, mean=1, low=None, high=None)
    first, second = simultaneous_differences([3, 3, 3], [[4, None, None], [4, 4, 3.5]])
    assert (first.low, second.low, second.pairs) == (None, None, 3)


def test_only_what_both_have_is_compared() -> None:
    full, gappy = simultaneous_differences(
        [1, 2, None, 4, 3, 3], [[2, 3, 4, 5, 4, 4.5], [None, 2.5, 3, None, 3, 4]]
    )
    assert (full.pairs, gappy.pairs) == (5, 3)
    assert gappy.mean == pytest.approx(0.5)


@pytest.mark.parametrize(("baseline", "treated"), [([], []), ([1.0], []), ([1.0], [None]), ([None], [2.0])])
def test_what_cannot_be_paired_is_refused(baseline: list[float], treated: list[float]) -> None:
    with pytest.raises(ValueError, match=r"nothing to compare|zip"):
        simultaneous_differences(baseline, [treated])


def test_nobody_is_compared_with_nothing() -> None:
    assert simultaneous_differences([1.0, 2.0], []) == []


@pytest.mark.parametrize("count", [2, 3, 8])
def test_the_quantile_for_several_lies_between_students_and_bonferronis(count: int) -> None:
    single = float(stats.t.ppf(0.975, 19))
    bonferroni = float(stats.t.ppf(1 - 0.025 / count, 19))
    independent = max_t_quantile(np.eye(count), degrees=19)
    related = max_t_quantile(np.full((count, count), 0.8) + 0.2 * np.eye(count), degrees=19)
    equal = max_t_quantile(np.ones((count, count)), degrees=19)
    assert single <= equal < related < independent <= bonferroni
    assert equal == pytest.approx(single, rel=0.02)
    assert independent == pytest.approx(bonferroni, rel=0.03)
    assert independent == max_t_quantile(np.eye(count), degrees=19), "the same in every run"


@pytest.mark.parametrize(("count", "contenders"), [(8, 1), (12, 3), (30, 1), (30, 3)])
def test_equal_prompts_are_rarely_told_apart_whichever_is_picked(count: int, contenders: int) -> None:
    """The promise: at most 2.5 % of A/A comparisons find the best of several better."""
    draws = np.random.default_rng(7)
    better = either = 0
    runs = 300
    for _ in range(runs):
        latent = draws.normal(0.3, 1, count)
        found = simultaneous_differences(
            graded(latent, 0.6, draws).tolist(),
            [graded(latent, 0.6, draws).tolist() for _ in range(contenders)],
        )
        better += any(item.low is not None and item.low > 0 for item in found)
        either += any(
            item.low is not None and item.high is not None and not item.low <= 0 <= item.high
            for item in found
        )
    # four standard errors above what is promised
    assert better / runs <= 0.025 + 4 * math.sqrt(0.025 * 0.975 / runs)
    assert either / runs <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)


def test_a_prompt_with_rare_disasters_is_not_taken_for_a_better_one() -> None:
    """Mean zero: a little better nine times in ten, two points worse once."""
    draws = np.random.default_rng(3)
    better = 0
    for _ in range(300):
        gains = np.where(draws.random(60) < 0.1, -2.0, 2 / 9) + draws.normal(0, 0.3, 60)
        low = one([3.0] * 60, (3 + gains).tolist()).low
        better += low is not None and low > 0
    assert better / 300 <= 0.06


@given(differences)
def test_the_spread_is_drawn_towards_the_usual_one(values: list[float]) -> None:
    spread = spread_of(values)
    plain = float(np.var(values, ddof=1))
    low, high = sorted((plain, USUAL_DEVIATION**2))
    assert low - 1e-9 <= spread.deviation**2 <= high + 1e-9
    weight = PRIOR_PAIRS / (len(values) - 1 + PRIOR_PAIRS)
    assert spread.deviation**2 == pytest.approx((1 - weight) * plain + weight * USUAL_DEVIATION**2)


def test_the_upper_end_of_a_small_group_leans_on_all_pairs() -> None:
    group = [-0.8, -0.7, -0.9]
    calm, wild = (upper_end(group, usual=usual, level=0.05) for usual in (0.35, 1.5))
    assert calm < 0 < wild
    assert upper_end(group, usual=0.35, level=0.001) > calm
    assert upper_end(group * 20, usual=1.5, level=0.05) < -0.5


def test_as_many_pairs_as_are_said_to_be_needed_show_the_gain_with_the_power_promised() -> None:
    draws = np.random.default_rng(11)
    gain, deviation = 0.3, 0.7
    spread = spread_of((gain + draws.normal(0, deviation, 4000)).tolist())
    needed = pairs_needed(gain, spread, quantile=float(stats.t.ppf(0.975, 3999)))
    assert needed is not None
    assert 60 < needed < 90
    shown = 0
    for _ in range(400):
        low = one([3.0] * needed, (3 + gain + draws.normal(0, deviation, needed)).tolist()).low
        shown += low is not None and low > 0
    assert abs(shown / 400 - POWER) < 0.04


def test_no_number_of_pairs_shows_what_is_no_gain_or_hardly_one() -> None:
    spread = spread_of([0.5, -0.5] * 20)
    assert pairs_needed(0.0, spread, quantile=2) is None
    assert pairs_needed(-0.1, spread, quantile=2) is None
    assert pairs_needed(0.001, spread, quantile=2) is None
    few, more = (pairs_needed(effect, spread, quantile=2) for effect in (0.4, 0.1))
    assert few is not None
    assert more is not None
    assert few < more < MOST_PAIRS


def test_a_gain_on_few_pairs_is_drawn_towards_the_usual_one_and_on_many_it_is_believed() -> None:
    assert plausible_gain(1.0, 2) == pytest.approx(
        (2 + PRIOR_GAIN_PAIRS * USUAL_GAIN) / (2 + PRIOR_GAIN_PAIRS)
    )
    assert plausible_gain(-0.3, 4) > 0 > plausible_gain(-0.3, 400)
    assert plausible_gain(USUAL_GAIN, 7) == pytest.approx(USUAL_GAIN)
