import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from optimizer.statistics import PairedDifference, paired_difference

pairs = st.lists(st.tuples(st.floats(1, 5), st.floats(1, 5)), min_size=2, max_size=40)


@given(pairs)
def test_the_interval_is_that_of_the_paired_t_test(values: list[tuple[float, float]]) -> None:
    baseline, treated = zip(*values, strict=True)
    assume(np.std(np.subtract(treated, baseline)) > 1e-6)
    difference = paired_difference(baseline, treated)
    expected = stats.ttest_rel(treated, baseline).confidence_interval(0.95)
    assert difference.pairs == len(values)
    assert difference.mean == pytest.approx(float(np.mean(treated) - np.mean(baseline)), abs=1e-9)
    assert difference.low == pytest.approx(float(expected.low), abs=1e-6)
    assert difference.high == pytest.approx(float(expected.high), abs=1e-6)


@given(pairs)
def test_swapping_the_prompts_mirrors_the_interval(values: list[tuple[float, float]]) -> None:
    baseline, treated = zip(*values, strict=True)
    forth, back = paired_difference(baseline, treated), paired_difference(treated, baseline)
    assert forth.low is not None
    assert back.high is not None
    assert forth.mean == -back.mean
    assert forth.low == pytest.approx(-back.high, abs=1e-12)


def test_equal_differences_leave_no_doubt() -> None:
    assert paired_difference([1, 2, 3], [2, 3, 4]) == PairedDifference(pairs=3, mean=1, low=1, high=1)


def test_a_single_pair_has_no_interval() -> None:
    assert paired_difference([3], [4]) == PairedDifference(pairs=1, mean=1, low=None, high=None)


@pytest.mark.parametrize(("baseline", "treated"), [([], []), ([1.0], []), ([1.0], [1.0, 2.0])])
def test_what_cannot_be_paired_is_refused(baseline: list[float], treated: list[float]) -> None:
    with pytest.raises(ValueError, match=r"nothing to compare|zip"):
        paired_difference(baseline, treated)
