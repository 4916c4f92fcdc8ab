"""Tests of the benchmark of the gate: that it measures what it says."""

import pytest

from app.llm.simulated.queries import read_query
from benchmarks.lab import World, quality
from benchmarks.promotion_cases import Case, Kind, Outcome, cases, measure
from benchmarks.promotion_worlds import GAIN, draw_prompts, fresh_queries
from benchmarks.promotions import WORLDS, interval, report

WORLD = World(seed=503, target="simulated-chat")


def outcome(kind: Kind, world: int, *, promoted: bool, is_better: bool, asked: int | None = None) -> Outcome:
    return Outcome(
        case=Case(kind=kind, world=world), promoted=promoted, is_better=is_better, asked=asked, finalists=1
    )


def test_the_better_prompt_is_truly_better_by_the_gain_and_the_others_are_by_less() -> None:
    prompts = draw_prompts(WORLD, 1)
    queries = fresh_queries(223, seed=0, after=0)

    def gain(prompt: str) -> float:
        return quality(WORLD, prompt, queries) - quality(WORLD, prompts.incumbent, queries)

    assert gain(prompts.better) == pytest.approx(prompts.gain) == pytest.approx(GAIN, abs=0.011)
    assert all(gain(other) < gain(prompts.better) for other in prompts.others)
    assert draw_prompts(WORLD, 1) == prompts


def test_fresh_queries_are_all_different_and_those_in_other_words_are_read_as_the_same_kind() -> None:
    queries = fresh_queries(600, seed=3, after=16)
    assert len({query.text for query in queries}) == len({query.id for query in queries}) == 600
    assert {query.id for query in queries}.isdisjoint(item.id for item in fresh_queries(16, seed=3, after=0))
    by_id = {query.id: query for query in fresh_queries(223, seed=0, after=0)}
    reworded = [query for query in queries if query.id not in by_id]
    assert len(reworded) == 600 - (223 - 16)
    for query in reworded:
        original = by_id[query.id.rpartition("-")[0]]
        assert original.text in query.text
        assert read_query(query.text).traits == read_query(original.text).traits


def test_the_interval_is_that_of_clopper_and_pearson() -> None:
    assert interval(0, 20) == pytest.approx((0.0, 0.16843), abs=1e-5)
    assert interval(20, 20) == pytest.approx((0.83157, 1.0), abs=1e-5)
    assert interval(5, 100) == pytest.approx((0.01643, 0.11284), abs=1e-5)


def test_a_promotion_is_false_only_where_the_prompt_is_not_truly_better() -> None:
    text = report(
        [
            outcome("deaf", 1, promoted=True, is_better=False),
            outcome("best prompt", 1, promoted=True, is_better=True),
            outcome("gain", 1, promoted=True, is_better=True, asked=80),
            outcome("gain", 2, promoted=False, is_better=True, asked=120),
        ]
    )
    assert "promotions on simulated models" in text
    assert "| all without a gain: at most 5 % | 2 | 1 | 50.0% |" in text
    assert "| all with a gain: at least 90 % | 2 | 1 | 50.0% | 1.3% to 98.7% | 100 (2 cases) |" in text


def test_two_hundred_jobs_and_more_are_without_a_gain() -> None:
    kinds = [case.kind for case in cases(WORLDS, 1000)]
    assert sum(not kind.startswith("gain") for kind in kinds) >= 200
    assert all(case.world >= 1000 for case in cases(WORLDS, 1000))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deaf, several finalists", "gain, several finalists"])
def test_a_case_is_measured_and_again_the_same(kind: Kind) -> None:
    case = Case(kind=kind, world=503)
    found = measure(case)
    assert found is not None
    assert found.is_better == kind.startswith("gain")
    assert found.finalists == 3
    assert measure(case) == found
