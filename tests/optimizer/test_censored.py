import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.censored import expected_score, fit_censored, sensitivity


def fit(scores: list[float], *, expected: float = 3.0, deviation: float = 0.5) -> tuple[float, float]:
    """Posterior mean and variance of one strength with a wide prior that all ``scores`` tell of."""
    count = len(scores)
    covariance = np.full((count, count), 4.0)
    explained, root = fit_censored(
        np.array(scores), np.full(count, expected), covariance, deviation=deviation
    )
    spread = np.linalg.solve(root, covariance[:, 0])
    return expected + 4.0 * float(explained.sum()), 4.0 - float(spread @ spread)


class TestTheFit:
    def test_scores_between_the_ends_are_fitted_as_by_ordinary_regression(self) -> None:
        mean, variance = fit([2.0, 3.0, 4.0, 4.0])
        precision = 1 / 4 + 4 / 0.25
        assert mean == pytest.approx((3.0 / 4 + 13.0 / 0.25) / precision)
        assert variance == pytest.approx(1 / precision)

    def test_fives_say_that_the_strength_is_high_and_not_how_high(self) -> None:
        mean, variance = fit([5.0] * 6)
        assert mean > 5
        assert variance > 3 * fit([4.0] * 6)[1]

    def test_the_lowest_score_mirrors_the_highest(self) -> None:
        low, high = fit([1.0, 1.0, 2.0]), fit([5.0, 5.0, 4.0])
        assert 6 - low[0] == pytest.approx(high[0])
        assert low[1] == pytest.approx(high[1])

    def test_what_nothing_explains_is_left_where_it_was(self) -> None:
        mean, _ = fit([5.0], expected=20.0)
        assert mean == pytest.approx(20.0)

    def test_a_fit_that_needs_more_steps_than_it_has_gives_the_last(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settled, _ = fit([5.0] * 6)
        monkeypatch.setattr("optimizer.censored._STEPS", 1)
        early, variance = fit([5.0] * 6)
        assert 4 < early < settled
        assert 0 < variance < 4

    @given(
        st.lists(st.sampled_from([1.0, 1.2, 2.0, 3.0, 4.0, 4.9, 5.0]), min_size=1, max_size=12),
        st.floats(-10, 15),
        st.floats(0.3, 2),
    )
    def test_the_fit_is_finite_and_a_higher_score_never_lowers_it(
        self, scores: list[float], expected: float, deviation: float
    ) -> None:
        mean, variance = fit(scores, expected=expected, deviation=deviation)
        better, _ = fit([5.0, *scores[1:]], expected=expected, deviation=deviation)
        assert np.isfinite(mean)
        assert -1e-9 <= variance <= 4.0 + 1e-9
        if scores[0] <= 4:
            assert better >= mean - 0.05 or expected > 5


class TestExpectedScores:
    def test_within_the_scale_it_is_the_strength_and_beyond_it_the_end(self) -> None:
        found = expected_score(np.array([-9.0, 2.0, 3.0, 4.0, 30.0]), 0.1)
        assert found.tolist() == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0])

    def test_noise_lowers_what_is_near_the_top(self) -> None:
        assert float(expected_score(np.array(5.0), 0.8)) == pytest.approx(5 - 0.8 * 0.3989, abs=1e-3)

    @given(st.floats(-3, 9), st.floats(0.2, 2))
    def test_sensitivity_is_its_slope(self, strength: float, deviation: float) -> None:
        low, high = expected_score(np.array([strength - 1e-4, strength + 1e-4]), deviation)
        slope = float(sensitivity(np.array(strength), deviation))
        assert (high - low) / 2e-4 == pytest.approx(slope, abs=1e-3)
