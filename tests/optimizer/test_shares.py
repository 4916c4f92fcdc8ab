"""Shares: intervals that hold at all times at once, and chances to be the best."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.shares import ShareCount, chances_of_best, share_interval


@given(total=st.integers(0, 5000), share=st.floats(0, 1), level=st.floats(0.001, 0.5))
def test_an_interval_holds_what_was_seen(total: int, share: float, level: float) -> None:
    hits = round(total * share)
    low, high = share_interval(ShareCount(hits=hits, total=total), level=level)
    assert 0 <= low <= high <= 1
    if total:
        assert low <= hits / total <= high


def test_nothing_seen_says_nothing() -> None:
    assert share_interval(ShareCount(hits=0, total=0), level=0.05) == (0.0, 1.0)


def test_an_interval_shrinks_around_the_share() -> None:
    widths = []
    for total in (10, 100, 1000, 100_000):
        low, high = share_interval(ShareCount(hits=total // 5, total=total), level=0.05)
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.015
    assert share_interval(ShareCount(hits=0, total=100), level=0.05)[0] == 0
    assert share_interval(ShareCount(hits=100, total=100), level=0.05)[1] == 1


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_looking_after_every_request_misses_no_more_often_than_promised(share: float) -> None:
    chance, missed, runs, level = random.Random(7), 0, 200, 0.2
    for _ in range(runs):
        hits = 0
        for total in range(1, 201):
            hits += chance.random() < share
            low, high = share_interval(ShareCount(hits=hits, total=total), level=level)
            if not low <= share <= high:
                missed += 1
                break
    assert missed <= runs * level


def test_chances_add_up_and_follow_the_evidence() -> None:
    even = chances_of_best([ShareCount(hits=0, total=0)] * 4)
    assert even == pytest.approx([0.25] * 4, abs=1e-3)
    better = chances_of_best([ShareCount(hits=80, total=100), ShareCount(hits=50, total=100)])
    assert better[0] > 0.999
    assert math.fsum(better) == pytest.approx(1)
    # a million requests leave a narrow posterior, which the grid has to find
    close = chances_of_best([ShareCount(hits=500_000, total=10**6), ShareCount(hits=500_500, total=10**6)])
    assert close[1] == pytest.approx(0.7602, abs=2e-3)


def test_chances_are_how_often_thompson_sampling_draws_an_arm() -> None:
    counts = [ShareCount(hits=3.5, total=9), ShareCount(hits=12, total=20), ShareCount(hits=1, total=2)]
    chance, wins, draws = random.Random(3), [0, 0, 0], 20_000
    for _ in range(draws):
        drawn = [chance.betavariate(1 + c.hits, 1 + c.total - c.hits) for c in counts]
        wins[drawn.index(max(drawn))] += 1
    assert chances_of_best(counts) == pytest.approx([win / draws for win in wins], abs=0.012)
