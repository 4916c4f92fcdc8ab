"""Circuits, by a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backend_settings import CircuitSettings
from app.llm.routing.circuit import Circuit, CircuitState, Passage
from tests.fakes.hand_clock import HandClock

SETTINGS = CircuitSettings(
    consecutive_failures=3, failure_share=0.5, min_requests=10, window_seconds=30, open_seconds=5
)


def entered(circuit: Circuit) -> Passage:
    passage = circuit.enter()
    assert passage is not None
    return passage


def state_of(circuit: Circuit) -> CircuitState:
    return circuit.state


def fail(circuit: Circuit, times: int = 1) -> None:
    for _ in range(times):
        circuit.failed(entered(circuit))


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def circuit(clock: HandClock) -> Circuit:
    return Circuit(SETTINGS, clock=clock)


def test_failures_in_a_row_open_it(circuit: Circuit) -> None:
    fail(circuit, 2)
    assert state_of(circuit) == CircuitState.CLOSED
    fail(circuit)
    assert state_of(circuit) == CircuitState.OPEN
    assert circuit.enter() is None
    assert circuit.wait_seconds == 5


def test_an_answer_in_between_keeps_it_closed(circuit: Circuit) -> None:
    fail(circuit, 2)
    circuit.answered(entered(circuit))
    fail(circuit, 2)
    assert state_of(circuit) == CircuitState.CLOSED


def test_a_share_of_failures_opens_it_once_there_are_enough(circuit: Circuit) -> None:
    for _ in range(4):
        fail(circuit)
        circuit.answered(entered(circuit))
    circuit.answered(entered(circuit))
    assert state_of(circuit) == CircuitState.CLOSED  # 4 of 9
    fail(circuit)  # 5 of 10
    assert state_of(circuit) == CircuitState.OPEN


def test_what_lies_further_back_than_the_window_does_not_count(circuit: Circuit, clock: HandClock) -> None:
    for _ in range(4):
        fail(circuit)
        circuit.answered(entered(circuit))
    clock.tick(31)
    assert (circuit.requests, circuit.failures) == (0, 0)
    circuit.answered(entered(circuit))
    fail(circuit)
    assert state_of(circuit) == CircuitState.CLOSED
    assert (circuit.requests, circuit.failures) == (2, 1)


def test_once_its_time_is_over_one_request_tries(circuit: Circuit, clock: HandClock) -> None:
    fail(circuit, 3)
    clock.tick(5)
    assert state_of(circuit) == CircuitState.HALF_OPEN
    trial = entered(circuit)
    assert circuit.enter() is None
    assert not circuit.is_passable
    circuit.answered(trial)
    assert state_of(circuit) == CircuitState.CLOSED
    fail(circuit, 2)  # it has forgotten what was before
    assert state_of(circuit) == CircuitState.CLOSED


def test_a_trial_that_fails_opens_it_for_twice_as_long(circuit: Circuit, clock: HandClock) -> None:
    fail(circuit, 3)
    waits = []
    for _ in range(6):
        waits.append(circuit.wait_seconds)
        clock.tick(circuit.wait_seconds)
        fail(circuit)
    assert waits == [5, 10, 20, 40, 60, 60]


def test_a_trial_whose_client_leaves_lets_another_one_try(circuit: Circuit, clock: HandClock) -> None:
    fail(circuit, 3)
    clock.tick(5)
    circuit.left(entered(circuit))
    circuit.answered(entered(circuit))
    assert state_of(circuit) == CircuitState.CLOSED


def test_what_began_before_it_opened_says_nothing_afterwards(circuit: Circuit, clock: HandClock) -> None:
    early, late = entered(circuit), entered(circuit)
    fail(circuit, 3)
    circuit.answered(early)
    assert state_of(circuit) == CircuitState.OPEN
    clock.tick(5)
    trial = entered(circuit)
    circuit.failed(late)
    circuit.left(late)
    assert circuit.enter() is None
    circuit.answered(trial)
    assert state_of(circuit) == CircuitState.CLOSED


def test_a_backend_that_asks_for_rest_gets_it_within_bounds(circuit: Circuit, clock: HandClock) -> None:
    circuit.failed(entered(circuit), rest_seconds=20)
    assert circuit.wait_seconds == 20
    clock.tick(20)
    circuit.answered(entered(circuit))
    circuit.failed(entered(circuit), rest_seconds=3600)
    assert circuit.wait_seconds == 60


def test_one_failure_that_was_tried_again_is_enough(circuit: Circuit) -> None:
    circuit.failed(entered(circuit), surely=True)
    assert state_of(circuit) == CircuitState.OPEN


@given(st.lists(st.sampled_from(["answered", "failed", "left", "tick"]), max_size=200))
def test_whatever_happens_it_lets_somebody_through_in_the_end(steps: list[str]) -> None:
    clock = HandClock()
    circuit = Circuit(SETTINGS, clock=clock)
    for step in steps:
        passage = None if step == "tick" else circuit.enter()
        if passage is None:
            clock.tick(1)
        elif step == "answered":
            circuit.answered(passage)
        elif step == "failed":
            circuit.failed(passage)
        else:
            circuit.left(passage)
    clock.tick(60)
    circuit.answered(entered(circuit))
    assert state_of(circuit) == CircuitState.CLOSED
