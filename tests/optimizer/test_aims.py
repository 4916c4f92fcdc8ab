import random
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from optimizer.aims import AimSource
from optimizer.posterior import Posterior
from optimizer.surrogate import Surrogate, SurrogatePrior

ROOMY = {"Clarity": 2.0, "Depth": 4.9, "Safety": 3.0, "Tone": 2.5}


def learned(
    effects: dict[str, float], *, tries: int = 6, seed_scores: Mapping[str, float] | None = None
) -> Posterior:
    """What is known after ``tries`` lines for each criterion that changed it by so much."""
    usual = dict.fromkeys(effects, 2.5) if seed_scores is None else seed_scores
    surrogate = Surrogate(SurrogatePrior())
    queries = [f"q{number}" for number in range(12)]
    weights = dict.fromkeys(effects, 1.0)
    surrogate.add("c0", ["seed"], None)
    for query in queries:
        surrogate.observe("c0", query, usual, weights)
    for place, (name, effect) in enumerate(effects.items()):
        for number in range(tries):
            candidate = f"c{place}.{number}"
            surrogate.add(candidate, ["seed", f"{name} {number}"], frozenset({name}))
            for query in queries:
                surrogate.observe(candidate, query, {**usual, name: usual[name] + effect}, weights)
    return surrogate.fit()


def drawn(source: AimSource, *, requests: int = 1, times: int = 200) -> list[list[tuple[str, ...]]]:
    rng = random.Random(3)
    return [source.draw(requests, rng) for _ in range(times)]


UNTRIED = learned(dict.fromkeys(ROOMY, 0.0), tries=0, seed_scores=ROOMY)
EVEN = learned(dict.fromkeys(ROOMY, 0.0), tries=0)
ALONE = learned({"Clarity": 0.0}, tries=0)


def test_where_nothing_was_tried_a_criterion_that_has_nearly_only_fives_is_hardly_aimed_at() -> None:
    source = AimSource(posterior=UNTRIED, parent_id="c0", count=1)
    aims = [item[0][0] for item in drawn(source)]
    counts = {name: aims.count(name) for name in ROOMY}
    assert min(counts["Clarity"], counts["Tone"], counts["Safety"]) > 40
    assert counts["Depth"] < 10


def test_a_criterion_to_which_the_target_is_deaf_is_given_up() -> None:
    posterior = learned({"Clarity": 0.0, "Depth": 1.2})
    source = AimSource(posterior=posterior, parent_id="c0", count=1)
    aims = [item[0][0] for item in drawn(source)]
    assert aims.count("Depth") > 0.9 * len(aims)


def test_what_counts_more_in_the_reward_is_aimed_at_more() -> None:
    surrogate = Surrogate(SurrogatePrior())
    surrogate.add("c0", ["seed"], None)
    for query in ("q1", "q2"):
        surrogate.observe("c0", query, {"Clarity": 3, "Depth": 3}, {"Clarity": 1, "Depth": 9})
    source = AimSource(posterior=surrogate.fit(), parent_id="c0", count=1)
    aims = [item[0][0] for item in drawn(source)]
    assert aims.count("Depth") > 0.8 * len(aims)


def test_requests_of_a_round_aim_at_different_criteria_where_there_are_enough() -> None:
    source = AimSource(posterior=EVEN, parent_id="c0", count=1)
    rounds = drawn(source, requests=3)
    distinct = [len(set(item)) for item in rounds]
    assert sum(distinct) / len(distinct) > 2.8, "drawn independently it would be 2.3"


def test_where_there_are_fewer_criteria_than_requests_aims_come_again() -> None:
    source = AimSource(posterior=UNTRIED, parent_id="c0", count=2)
    (found,) = drawn(source, requests=5, times=1)
    assert len(found) == 5
    assert all(len(set(aims)) == 2 for aims in found)


def test_with_fewer_criteria_than_wanted_all_are_aimed_at() -> None:
    source = AimSource(posterior=ALONE, parent_id="c0", count=3)
    assert source.draw(2, random.Random(1)) == [("Clarity",), ("Clarity",)]


@given(st.integers(), st.integers(1, 5), st.integers(0, 6))
def test_the_same_draw_gives_the_same_aims(seed: int, count: int, requests: int) -> None:
    source = AimSource(posterior=UNTRIED, parent_id="c0", count=count)
    first = source.draw(requests, random.Random(seed))
    assert first == source.draw(requests, random.Random(seed))
    assert len(first) == requests
    for aims in first:
        assert len(aims) == len(set(aims)) == min(count, len(ROOMY))
