"""One request's way through the routes of its target, without any backend."""

import random
from collections import Counter
from typing import cast

import pytest

from app.backend_settings import CircuitSettings
from app.llm.capability_finder import ProbedModel
from app.llm.routing.circuit import Circuit, CircuitState
from app.llm.routing.routes import Route, Routes
from app.llm.routing.trip import Trip
from app.serving_settings import RoutingSettings
from optimizer.errors import (
    BackendUnavailableError,
    MalformedResponseError,
    MisconfiguredError,
    ModelError,
    RateLimitedError,
    RequestRefusedError,
)
from tests.fakes.hand_clock import HandClock
from tests.fakes.unasked import Unasked

CIRCUIT = CircuitSettings(consecutive_failures=2, open_seconds=5)
AWAY = BackendUnavailableError("away", backend="b")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def routes_of(
    clock: HandClock,
    weights: dict[str, float | None],
    *,
    circuits: bool = True,
    **settings: object,
) -> Routes:
    routes = [
        Route(
            backend=name,
            model="m",
            api="chat",
            weight=weight,
            upstream=Unasked(),
            probed=cast("ProbedModel", None),
            circuit=Circuit(CIRCUIT, clock=clock) if circuits else None,
        )
        for name, weight in weights.items()
    ]
    return Routes(routes, RoutingSettings.model_validate(settings), clock=clock, chance=random.Random(7))


def way(routes: Routes, *errors: ModelError) -> list[str]:
    """Whom a request asks that meets ``errors``, as far as it goes on."""
    trip = Trip(routes)
    asked = [trip.depart().backend]
    for error in errors:
        trip.failed(error)
        leg = trip.onward(error)
        if leg is None:
            return asked
        asked.append(leg.route.backend)
    trip.left()
    return asked


def circuit_of(routes: Routes, backend: str) -> Circuit:
    (found,) = (route.circuit for route in routes if route.backend == backend)
    assert found is not None
    return found


def test_requests_are_spread_by_weight(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 3, "b": 1, "none": 0, "c": None})
    counts = Counter(way(routes)[0] for _ in range(4000))
    assert set(counts) == {"a", "b"}
    assert 0.72 < counts["a"] / 4000 < 0.78


def test_another_route_comes_first_then_the_fallbacks_in_order(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 1, "b": 1, "x": None, "y": None}, max_attempts=9)
    asked = way(routes, *[AWAY] * 9)
    assert set(asked[:2]) == {"a", "b"}
    assert asked[2:] == ["x", "y"]


@pytest.mark.parametrize(
    "error",
    [
        AWAY,
        RateLimitedError("slow", backend="b"),
        RateLimitedError("slow", backend="b", retry_after=60),
        MalformedResponseError("?", backend="b"),
        MisconfiguredError("key", backend="b", status=401),
    ],
)
def test_what_is_the_backends_own_fault_goes_to_another_one(clock: HandClock, error: ModelError) -> None:
    assert way(routes_of(clock, {"a": 1, "x": None}), error) == ["a", "x"]


def test_what_the_request_itself_is_refused_for_goes_nowhere(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 1, "x": None})
    for _ in range(5):
        assert way(routes, RequestRefusedError("too long", backend="a", status=400)) == ["a"]
    assert circuit_of(routes, "a").state is CircuitState.CLOSED
    assert circuit_of(routes, "a").failures == 0


def test_attempts_are_limited(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": None, "b": None, "c": None, "d": None}, max_attempts=2)
    assert way(routes, *[AWAY] * 5) == ["a", "b"]


def test_no_attempt_begins_late(clock: HandClock) -> None:
    trip = Trip(routes_of(clock, {"a": 1, "x": None}, max_total_seconds=10))
    trip.depart()
    clock.tick(10)
    assert trip.onward(AWAY) is None


def test_an_outage_is_not_multiplied(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 1, "x": None}, circuits=False, retry_share=0.1, retries_per_second=0.5)
    attempts = sum(len(way(routes, AWAY, AWAY)) for _ in range(1000))
    assert 1100 <= attempts <= 1106


def test_an_open_circuit_is_passed_by_at_no_cost(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 1, "x": None}, retry_share=0, retries_per_second=0.2)
    assert way(routes, AWAY) == ["a", "x"]
    assert way(routes, AWAY) == ["a", "x"]
    assert circuit_of(routes, "a").state is CircuitState.OPEN
    assert routes.budget.left == 0
    assert way(routes) == ["x"]
    clock.tick(5)
    trip = Trip(routes)
    assert trip.depart().backend == "a"  # the trial
    assert way(routes) == ["x"]  # the others don't wait for it
    trip.answered()
    assert way(routes) == ["a"]


def test_patience_that_a_backend_asks_for_is_its_rest(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 1, "x": None})
    way(routes, RateLimitedError("slow", backend="a", retry_after=30))
    assert circuit_of(routes, "a").wait_seconds == 30


def test_a_moments_patience_is_no_rest(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 1, "x": None})
    way(routes, RateLimitedError("slow", backend="a", retry_after=1))
    assert circuit_of(routes, "a").state is CircuitState.CLOSED


def test_where_all_rest_nobody_is_asked(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 1, "x": None})
    way(routes, RateLimitedError("slow", backend="a", retry_after=30), AWAY)
    way(routes, AWAY)
    clock.tick(1)
    trip = Trip(routes)
    assert trip.depart().backend == "x"
    refusal = trip.refusal
    assert refusal is not None
    assert refusal.retry_after == 4
    trip.failed(refusal)
    assert trip.onward(refusal) is None


def test_the_same_route_is_asked_again_only_where_that_is_wanted(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 1}, circuits=False, attempts_per_route=2, max_attempts=5)
    assert routes.only is None
    assert way(routes, *[AWAY] * 4) == ["a", "a"]
    assert way(routes, MisconfiguredError("key", backend="a", status=401)) == ["a"]
    assert way(routes, RateLimitedError("slow", backend="a", retry_after=3)) == ["a"]


def test_a_short_patience_is_waited_for(clock: HandClock) -> None:
    trip = Trip(routes_of(clock, {"a": 1}, circuits=False, attempts_per_route=3))
    trip.depart()
    leg = trip.onward(RateLimitedError("slow", backend="a", retry_after=1.5))
    assert leg is not None
    assert leg.wait_seconds == 1.5
    leg = trip.onward(AWAY)
    assert leg is not None
    assert 0.4 < leg.wait_seconds <= 1.0


def test_a_stream_that_breaks_counts_as_a_failure(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 1, "x": None})
    for _ in range(2):
        trip = Trip(routes)
        assert trip.depart().backend == "a"
        trip.answered()
        trip.broke(AWAY)
    assert circuit_of(routes, "a").failures == 2


def test_a_single_route_has_nothing_to_choose(clock: HandClock) -> None:
    routes = routes_of(clock, {"a": 1}, circuits=False)
    assert routes.only is not None
    assert not routes.are_several
    assert routes_of(clock, {"a": 1, "x": None}).only is None
