"""How long the rest takes, from what was measured."""

from dataclasses import astuple

from hypothesis import given
from hypothesis import strategies as st

from optimizer.estimate import CallRange
from optimizer.plan import plan_search
from optimizer.time_left import BEAM_ROUND, GATE, SecondsLeft, Stretch, Waves, race_round, seconds_left

stretches = st.builds(
    Stretch,
    waves=st.floats(1, 10),
    calls=st.integers(1, 1000),
    seconds=st.floats(0.001, 10_000),
)
measured = st.lists(stretches, min_size=1, max_size=12)
ends = st.lists(st.integers(0, 500), min_size=3, max_size=3).map(sorted)


def waves_of(found: list[int]) -> Waves:
    return Waves(low=found[0], expected=found[1], high=found[2])


def calls_of(found: list[int]) -> CallRange:
    return CallRange(low=found[0], expected=found[1], high=found[2])


def test_nothing_is_said_where_nothing_was_measured() -> None:
    assert seconds_left([], BEAM_ROUND, CallRange(low=1, expected=2, high=3)) is None


@given(measured, ends, ends)
def test_the_ends_of_the_range_are_in_order(past: list[Stretch], waves: list[int], calls: list[int]) -> None:
    found = seconds_left(past, waves_of(waves), calls_of(calls))
    assert found is not None
    assert 0 <= found.low <= found.expected * (1 + 1e-9)
    assert found.expected <= found.high * (1 + 1e-9)


@given(measured)
def test_nothing_left_takes_no_time(past: list[Stretch]) -> None:
    found = seconds_left(past, BEAM_ROUND.times(0, 0, 0), CallRange(low=0, expected=0, high=0))
    assert found == SecondsLeft(low=0, expected=0, high=0)


@given(measured, ends, ends, st.floats(0.1, 100))
def test_a_machine_that_is_slower_throughout_takes_longer_in_proportion(
    past: list[Stretch], waves: list[int], calls: list[int], factor: float
) -> None:
    slower = [Stretch(waves=item.waves, calls=item.calls, seconds=item.seconds * factor) for item in past]
    one = seconds_left(past, waves_of(waves), calls_of(calls))
    other = seconds_left(slower, waves_of(waves), calls_of(calls))
    assert one is not None
    assert other is not None
    for before, after in zip(astuple(one), astuple(other), strict=True):
        assert abs(after - before * factor) <= 1e-6 * max(1.0, after)


@given(measured, ends, ends, st.integers(1, 50))
def test_more_work_never_takes_less(
    past: list[Stretch], waves: list[int], calls: list[int], more: int
) -> None:
    one = seconds_left(past, waves_of(waves), calls_of(calls))
    other = seconds_left(
        past, waves_of([end + more for end in waves]), calls_of([end + more for end in calls])
    )
    assert one is not None
    assert other is not None
    assert all(after >= before for before, after in zip(astuple(one), astuple(other), strict=True))


@given(st.floats(0.01, 100), st.integers(1, 20), st.integers(1, 9))
def test_at_an_even_pace_the_expectation_is_exact_and_the_range_narrows(
    pace: float, calls_per_wave: int, rounds: int
) -> None:
    past = [Stretch(waves=3, calls=3 * calls_per_wave, seconds=3 * pace)] * rounds
    left = 6 * calls_per_wave
    found = seconds_left(
        past, Waves(low=6, expected=6, high=6), CallRange(low=left, expected=left, high=left)
    )
    assert found is not None
    assert abs(found.expected - 6 * pace) < 1e-6
    margin = 0.3 / rounds**0.5
    assert abs(found.high - 6 * pace * (1 + margin)) < 1e-6
    assert abs(found.low - 6 * pace * (1 - margin)) < 1e-6


def test_one_round_in_which_the_machine_slept_says_little() -> None:
    usual = Stretch(waves=3, calls=30, seconds=10)
    slept = Stretch(waves=3, calls=30, seconds=3600)
    left = CallRange(low=30, expected=30, high=30)
    found = seconds_left([usual, usual, slept, usual, usual], Waves(low=3, expected=3, high=3), left)
    assert found is not None
    assert found.expected == 10
    assert found.high < 20


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_the_rest_falls_with_time_and_never_below_nothing(worked: float, most: float) -> None:
    whole = SecondsLeft(low=100, expected=200, high=300)
    assert all(end >= 0 for end in astuple(whole.less(worked)))
    assert whole.less(worked).high <= 300
    assert all(end <= most for end in astuple(whole.within(most)))


def test_a_race_takes_two_waves_for_each_block_that_it_needs() -> None:
    plan = plan_search(2000, queries=60)
    assert race_round(plan) == Waves(low=3, expected=2 + plan.blocks, high=1 + 2 * plan.blocks)


def test_parts_that_follow_each_other_take_the_waves_of_both() -> None:
    assert GATE.plus(GATE) == GATE.times(2, 2, 2)
