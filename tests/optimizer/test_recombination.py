from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer import recombination
from optimizer.censored import expected_score
from optimizer.posterior import CriterionPosterior, LinePriors, Posterior
from optimizer.recombination import Bench, choose_instructions, choose_introduction

Effects = Mapping[str, Mapping[str, float]]


def believed(effects: Effects, *, level: float = 3.0, deviation: float = 0.0) -> Posterior:
    """A posterior under which each line does to each criterion what ``effects`` say."""
    lines = list(effects)
    names = sorted({name for found in effects.values() for name in found})
    criteria = {}
    for name in names:
        means = np.array([effects[line].get(name, 0.0) for line in lines])
        variances = np.full(len(lines), deviation**2)
        priors = LinePriors(means=means, variances=variances, aimed=np.zeros(len(lines), dtype=np.bool_))
        criteria[name] = CriterionPosterior(
            levels=np.array([level]),
            shares=np.ones(1),
            noise=0.8,
            means=np.zeros(1),
            covariance=np.zeros((1, 1)),
            line_means=means,
            line_variances=variances,
            priors=priors,
        )
    return Posterior(
        candidates={"c0": 0},
        lines={line: row for row, line in enumerate(lines)},
        weights=dict.fromkeys(names, 1 / len(names)),
        criteria=criteria,
    )


def choose(
    effects: Effects, *present: str, most: int = 8, price: float = 0.0, level: float = 3.0
) -> tuple[str, ...]:
    bench = Bench(instructions=tuple(effects), most=most, price=price)
    posterior = believed(effects, level=level)
    return choose_instructions(bench, present, posterior, rng=None)


GOOD: Effects = {
    "Be brief": {"Clarity": 0.8, "Depth": 0.0},
    "Go deep": {"Clarity": 0.0, "Depth": 0.6},
    "Never explain": {"Clarity": 0.3, "Depth": -1.5},
}


class TestInstructions:
    def test_what_helps_is_put_together_and_what_harms_is_left_out(self) -> None:
        assert choose(GOOD) == ("Be brief", "Go deep")

    def test_what_harms_is_dropped_and_the_rest_keeps_its_order(self) -> None:
        assert choose(GOOD, "Go deep", "Never explain", "Be brief") == ("Go deep", "Be brief")

    def test_a_better_instruction_takes_the_place_of_a_worse_one(self) -> None:
        effects: Effects = {"a": {"Clarity": 0.1}, "b": {"Clarity": 0.2}, "c": {"Clarity": 0.9}}
        assert choose(effects, "a", "b", most=2) == ("c", "b")

    def test_there_are_never_more_than_allowed_also_at_the_start(self) -> None:
        effects: Effects = {letter: {"Clarity": 0.3} for letter in "abcdef"}
        assert choose(effects, *"abcdef", most=3) == ("a", "b", "c")

    def test_a_price_leaves_out_what_brings_less_than_its_words_cost(self) -> None:
        effects: Effects = {
            "one two three four five": {"Clarity": 0.05},
            "one": {"Clarity": 0.05},
        }
        assert choose(effects, *effects) == tuple(effects)
        assert choose(effects, *effects, price=0.02) == ("one",)

    def test_nothing_changes_where_nothing_helps(self) -> None:
        effects: Effects = {"a": {"Clarity": 0.0}, "b": {"Clarity": 0.0}, "c": {"Clarity": -0.1}}
        assert choose(effects, "b", "a") == ("b", "a")

    def test_a_gain_too_small_to_be_real_changes_nothing(self) -> None:
        assert choose({"a": {"Clarity": 0.5}, "b": {"Clarity": 1e-5}}, "a") == ("a",)

    def test_instructions_for_the_same_criterion_add_less_and_less(self) -> None:
        alike: Effects = {letter: {"Clarity": 1.0, "Depth": 0.0} for letter in "abc"}
        other: Effects = {"d": {"Clarity": 0.0, "Depth": 0.5}}
        found = choose({**alike, **other}, most=3)
        assert "d" in found, "a third one for clarity would bring less than one for depth"

    def test_a_criterion_without_room_gains_little(self) -> None:
        effects: Effects = {"one two": {"Clarity": 0.5}}
        assert choose(effects, price=0.2) == ("one two",)
        assert choose(effects, price=0.2, level=6.0) == ()

    def test_a_choice_differs_from_where_it_began_by_thirty_changes_at_most(self) -> None:
        effects: Effects = {
            f"line {number}": {f"criterion {other}": 0.5 * (other == number) for other in range(35)}
            for number in range(35)
        }
        assert len(choose(effects, most=40)) == 30

    def test_an_instruction_said_twice_is_said_once(self) -> None:
        assert choose(GOOD, "Be brief", "Be brief", "Go deep") == ("Be brief", "Go deep")

    def test_an_empty_bench_gives_no_instructions(self) -> None:
        posterior = believed({"a": {"Clarity": 0.1}})
        bench = Bench(instructions=(), most=3, price=0)
        assert choose_instructions(bench, (), posterior, rng=None) == ()

    def test_an_instruction_that_nobody_has_learned_about_is_not_used(self) -> None:
        posterior = believed({"a": {"Clarity": 0.1}})
        bench = Bench(instructions=("new", "a"), most=3, price=0)
        assert choose_instructions(bench, ("new",), posterior, rng=None) == ("a",)

    def test_a_wide_bench_is_narrowed_to_what_looks_best_without_losing_what_is_there(self) -> None:
        effects: dict[str, dict[str, float]] = {"present": {"Clarity": 0.0}}
        effects |= {f"line {number}": {"Clarity": 0.001 * number} for number in range(100)}
        found = choose(effects, "present", most=3)
        assert set(found) == {"line 97", "line 98", "line 99"}
        assert choose(effects, "present", most=1, price=1) == ()
        assert choose(
            {"present": {"Clarity": 0.5}, **dict(list(effects.items())[1:])}, "present", most=1
        ) == ("present",)

    def test_a_draw_tries_what_is_unknown_and_the_same_draw_chooses_the_same(self) -> None:
        effects: Effects = {letter: {"Clarity": 0.0} for letter in "abcdef"}
        posterior = believed(effects, deviation=0.3)
        bench = Bench(instructions=tuple(effects), most=3, price=0.01)

        def draw(seed: int) -> tuple[str, ...]:
            rng = np.random.default_rng(seed)
            return choose_instructions(bench, (), posterior, rng=rng)

        found = [draw(seed) for seed in range(20)]
        assert len(set(found)) > 10
        assert set().union(*found) == set(effects)
        assert found == [draw(seed) for seed in range(20)]

    @given(
        st.dictionaries(
            st.text("abc ", min_size=1, max_size=6).map(str.strip).filter(bool),
            st.fixed_dictionaries({"Clarity": st.floats(-1, 1), "Depth": st.floats(-1, 1)}),
            min_size=1,
            max_size=8,
        ),
        st.integers(1, 4),
        st.floats(0, 0.1),
    )
    def test_no_choice_is_worse_than_where_it_began_or_longer_than_allowed(
        self, effects: dict[str, dict[str, float]], most: int, price: float
    ) -> None:
        present = [line for place, line in enumerate(effects) if place % 2][:most]
        found = choose(effects, *present, most=most, price=price)
        assert len(found) <= most
        assert len(set(found)) == len(found)
        assert set(found) <= set(effects)
        assert value(effects, found, price) >= value(effects, present, price) - 1e-3


def value(effects: Effects, chosen: Sequence[str], price: float) -> float:
    """What a set is worth, computed apart: from a level of 3 instructions reach 2 further."""
    total = 0.0
    for name in ("Clarity", "Depth"):
        left, harm = 1.0, 0.0
        for line in chosen:
            share = effects[line][name] / 2
            left *= 1 - max(0.0, min(0.9, share))
            harm += min(0.0, max(-1.0, share))
        total += 0.5 * float(expected_score(np.array(3 + 2 * (1 - left + harm)), 0.8))
    return total - price * sum(len(line.split()) for line in chosen)


OPENINGS: Effects = {
    "You are kind.": {"Clarity": 0.1},
    "You are exact.": {"Clarity": 0.4},
    "Take your time.": {"Clarity": -0.3},
}


class TestTheIntroduction:
    def test_the_one_that_does_most_is_chosen_line_by_line(self) -> None:
        found = ["You are kind.", "You are exact.\nTake your time.", " You are exact. \n\n"]
        assert choose_introduction(found, believed(OPENINGS), price=0) == found[2]

    def test_of_equals_the_first_one_stays(self) -> None:
        found = ["Unknown.", "Never seen."]
        assert choose_introduction(found, believed(OPENINGS), price=0) == "Unknown."

    @pytest.mark.parametrize(("price", "chosen"), [(0.0, "You are kind."), (0.1, "")])
    def test_its_words_have_to_bring_their_price(self, price: float, chosen: str) -> None:
        assert choose_introduction(["", "You are kind."], believed(OPENINGS), price=price) == chosen


def test_the_local_search_ends_after_so_many_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recombination, "_MOST_CHANGES", 1)
    assert len(choose(GOOD)) == 1
