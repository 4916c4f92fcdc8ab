"""Whether requests fail more often than before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from optimizer.drift import DriftRule, FailureCount, chance_of_more, compare

counts = st.integers(1, 400).flatmap(
    lambda requests: st.builds(FailureCount, requests=st.just(requests), failures=st.integers(0, requests))
)


@given(counts, counts)
def test_the_chance_is_that_of_fisher_s_exact_test(reference: FailureCount, recent: FailureCount) -> None:
    table = [
        [recent.failures, recent.requests - recent.failures],
        [reference.failures, reference.requests - reference.failures],
    ]
    expected = fisher_exact(np.array(table), alternative="greater").pvalue
    assert chance_of_more(reference, recent) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(counts, counts)
def test_no_increase_is_no_drift(reference: FailureCount, recent: FailureCount) -> None:
    verdict = compare(reference, recent, DriftRule(min_requests=1))
    assert reference.share is not None
    assert recent.share is not None
    if recent.share <= reference.share:
        assert not verdict.drifted
    assert verdict.p_value is not None
    assert 0 <= verdict.p_value <= 1


@pytest.mark.parametrize("share", [0.0, 0.002, 0.03, 0.3])
@pytest.mark.parametrize("significance", [0.05, 0.001])
def test_false_alarms_are_no_more_frequent_than_promised(share: float, significance: float) -> None:
    draws = np.random.default_rng(7)
    rule = DriftRule(min_requests=100, significance=significance, least_increase=0.0)
    alarms, rounds = 0, 2000
    for _ in range(rounds):
        recent = FailureCount(requests=300, failures=int(draws.binomial(300, share)))
        before = FailureCount(requests=2000, failures=int(draws.binomial(2000, share)))
        alarms += compare(before, recent, rule).drifted
    # three standard deviations above what is promised
    assert alarms <= rounds * significance + 3 * (rounds * significance) ** 0.5


def test_a_clear_rise_is_found_and_said() -> None:
    verdict = compare(
        FailureCount(requests=2000, failures=20), FailureCount(requests=300, failures=24), DriftRule()
    )
    assert verdict.drifted
    assert "8.0% of 300 failed lately, 1.0% of 2000 before" in verdict.reason


def test_a_rise_that_is_sure_and_small_is_not_worth_a_search() -> None:
    before = FailureCount(requests=1_000_000, failures=10_000)
    verdict = compare(before, FailureCount(requests=1_000_000, failures=11_000), DriftRule())
    assert verdict.p_value is not None
    assert verdict.p_value < 1e-6
    assert not verdict.drifted


@pytest.mark.parametrize(("reference", "recent"), [(0, 500), (500, 0), (199, 500), (500, 199), (0, 0)])
def test_few_requests_say_nothing(reference: int, recent: int) -> None:
    verdict = compare(
        FailureCount(requests=reference, failures=0),
        FailureCount(requests=recent, failures=recent),
        DriftRule(),
    )
    assert (verdict.drifted, verdict.p_value) == (False, None)
    assert "too few requests" in verdict.reason
