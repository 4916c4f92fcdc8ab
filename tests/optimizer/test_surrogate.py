import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.posterior import Posterior
from optimizer.surrogate import Surrogate, SurrogatePrior

EVEN = {"Clarity": 1.0, "Depth": 1.0}


class Truth:
    """A world in which scores are a level, plus what lines do, plus how hard a query is, plus noise."""

    def __init__(self, seed: int, *, noise: float = 0.5, level: float = 3.0) -> None:
        self.surrogate = Surrogate(SurrogatePrior())
        self._rng = np.random.default_rng(seed)
        self._noise = noise
        self._level = level
        self._hardness: dict[str, float] = {}
        self._effects: dict[str, Mapping[str, float]] = {}

    def add(self, name: str, lines: Mapping[str, Mapping[str, float]]) -> None:
        """A candidate of these lines, each with what it really does; the first one is the seed prompt."""
        aims = frozenset(criterion for found in lines.values() for criterion in found)
        self.surrogate.add(name, list(lines), aims if self._effects else None)
        self._effects[name] = {
            criterion: sum(found.get(criterion, 0.0) for found in lines.values()) for criterion in EVEN
        }

    def run(self, name: str, queries: range) -> list[float]:
        """Evaluate a candidate; its rewards."""
        rewards = []
        for number in queries:
            query = f"q{number}"
            hardness = self._hardness.setdefault(query, float(self._rng.normal(0, 0.7)))
            scores = {
                criterion: self._level + effect + hardness + float(self._rng.normal(0, self._noise))
                for criterion, effect in self._effects[name].items()
            }
            self.surrogate.observe(name, query, scores, EVEN)
            rewards.append(sum(scores.values()) / len(scores))
        return rewards


class TestWhoIsBetter:
    @pytest.mark.parametrize("seed", range(5))
    def test_the_order_of_candidates_made_of_shared_lines_is_recovered(self, seed: int) -> None:
        effects: dict[str, dict[str, float]] = {
            "good": {"Clarity": 0.9},
            "fair": {"Depth": 0.45},
            "bad": {"Clarity": -0.8},
        }
        truth = Truth(seed)
        truth.add("c0", {"seed": {}})
        truth.run("c0", range(16))
        worth = {"c0": 0.0}
        for size in (1, 2, 3):
            for chosen in itertools.combinations(effects, size):
                name = "+".join(chosen)
                truth.add(name, {"seed": {}, **{line: effects[line] for line in chosen}})
                truth.run(name, range(8))
                worth[name] = sum(sum(effects[line].values()) for line in chosen)
        posterior = truth.surrogate.fit()
        for one, other in itertools.permutations(worth, 2):
            if worth[one] > worth[other] + 0.4:
                assert posterior.reward(one) > posterior.reward(other)

    def test_a_line_is_judged_by_all_candidates_that_hold_it(self) -> None:
        truth = Truth(3)
        truth.add("c0", {"seed": {}})
        truth.run("c0", range(12))
        for number in range(4):
            truth.add(
                f"c{number + 1}", {"seed": {}, "good": {"Clarity": 1.0}, f"own {number}": {"Depth": 0.0}}
            )
            truth.run(f"c{number + 1}", range(8))
        truth.add("known line", {"seed": {}, "good": {"Clarity": 1.0}})
        truth.add("new line", {"seed": {}, "never seen": {"Clarity": 1.0}})
        posterior = truth.surrogate.fit()
        assert posterior.reward("known line") > posterior.reward("new line") > posterior.reward("c0")
        assert posterior.deviation("known line", "c0") < posterior.deviation("new line", "c0")

    def test_hard_queries_are_no_demerit(self) -> None:
        surrogate = Surrogate(SurrogatePrior())
        surrogate.add("c0", ["seed"], None)
        surrogate.add("hard", ["seed", "a"], frozenset({"Clarity"}))
        surrogate.add("easy", ["seed", "b"], frozenset({"Clarity"}))
        for number in range(10):
            surrogate.observe("c0", f"q{number}", {"Clarity": 2.6 if number < 5 else 3.8}, {"Clarity": 1})
        for number in range(5):
            surrogate.observe("hard", f"q{number}", {"Clarity": 3.8}, {"Clarity": 1})
            surrogate.observe("easy", f"q{number + 5}", {"Clarity": 3.9}, {"Clarity": 1})
        posterior = surrogate.fit()
        assert posterior.reward("hard") > posterior.reward("easy") > posterior.reward("c0")


class TestShrinkage:
    @pytest.mark.parametrize("seed", range(4))
    def test_the_luckiest_of_many_equal_candidates_is_not_believed_to_be_much_better(self, seed: int) -> None:
        truth = Truth(seed, noise=0.8)
        truth.add("c0", {"seed": {}})
        truth.run("c0", range(20))
        means = {}
        for number in range(20):
            truth.add(f"c1.{number}", {"seed": {}, f"line {number}": {"Clarity": 0.0}})
            means[f"c1.{number}"] = float(np.mean(truth.run(f"c1.{number}", range(3))))
        posterior = truth.surrogate.fit()
        values = [posterior.reward(name) for name in means]
        raw = max(means.values()) - float(np.mean(list(means.values())))
        assert raw > 0.5, "somebody was lucky"
        assert max(values) - float(np.mean(values)) < 0.55 * raw
        winner = max(means, key=posterior.reward)
        gain = posterior.reward(winner) - posterior.reward("c0")
        assert gain < 3 * posterior.deviation(winner, "c0")

    def test_more_evaluations_leave_less_doubt(self) -> None:
        doubts = []
        for count in (1, 4, 16):
            truth = Truth(1)
            truth.add("c0", {"seed": {}})
            truth.add("c1", {"seed": {}, "good": {"Clarity": 1.0}})
            truth.run("c0", range(16))
            truth.run("c1", range(count))
            doubts.append(truth.surrogate.fit().deviation("c1", "c0"))
        assert doubts[0] > doubts[1] > doubts[2]


class TestWhatLinesAreExpectedToDo:
    def fit(self, seed_scores: Mapping[str, float], *, aims: frozenset[str] | None) -> Posterior:
        surrogate = Surrogate(SurrogatePrior())
        surrogate.add("c0", ["seed"], None)
        surrogate.add("c1", ["seed", "line"], aims)
        for query in ("q1", "q2", "q3", "q4"):
            surrogate.observe("c0", query, seed_scores, dict.fromkeys(seed_scores, 1.0))
        return surrogate.fit()

    def test_a_new_line_is_expected_to_raise_what_it_was_written_for(self) -> None:
        posterior = self.fit({"Clarity": 3.0, "Depth": 3.0}, aims=frozenset({"Clarity"}))
        effects = posterior.line_effects(None)
        line = posterior.lines["line"]
        assert effects["Clarity"][line] == pytest.approx(0.25)
        assert effects["Depth"][line] == pytest.approx(-0.02)

    def test_it_is_expected_to_bring_less_where_the_seed_prompt_leaves_less_room(self) -> None:
        gains = []
        for score in (3.0, 4.0, 4.6, 5.0):
            posterior = self.fit({"Clarity": score}, aims=frozenset({"Clarity"}))
            gains.append(posterior.reward("c1") - posterior.reward("c0"))
        assert gains == sorted(gains, reverse=True)
        assert gains[0] == pytest.approx(0.25, abs=0.02)
        assert gains[-1] < 0.05

    def test_a_line_of_the_seed_prompt_keeps_its_own_prior_in_later_candidates(self) -> None:
        posterior = self.fit({"Clarity": 3.0}, aims=None)
        assert posterior.line_effects(None)["Clarity"][posterior.lines["line"]] == pytest.approx(0.03)


class TestWeights:
    def test_a_criterion_counts_as_often_and_as_much_as_queries_call_for_it(self) -> None:
        surrogate = Surrogate(SurrogatePrior())
        surrogate.add("c0", ["seed"], None)
        surrogate.observe("c0", "q1", {"Clarity": 3, "Depth": 3}, {"Clarity": 3, "Depth": 1})
        surrogate.observe("c0", "q2", {"Clarity": 3}, {"Clarity": 7})
        assert surrogate.fit().weights == pytest.approx({"Clarity": 0.875, "Depth": 0.125})

    @pytest.mark.parametrize(("queries", "kept"), [(7, {"Clarity", "Rare"}), (8, {"Clarity"})])
    def test_what_a_single_query_calls_for_counts_only_among_few(self, queries: int, kept: set[str]) -> None:
        surrogate = Surrogate(SurrogatePrior())
        surrogate.add("c0", ["seed"], None)
        for number in range(queries - 1):
            surrogate.observe("c0", f"q{number}", {"Clarity": 3}, {"Clarity": 1})
        surrogate.observe("c0", "odd", {"Clarity": 3, "Rare": 5}, {"Clarity": 1, "Rare": 1})
        weights = surrogate.fit().weights
        assert set(weights) == kept
        assert sum(weights.values()) == pytest.approx(1)

    def test_where_every_query_calls_for_something_else_all_of_it_counts(self) -> None:
        surrogate = Surrogate(SurrogatePrior())
        surrogate.add("c0", ["seed"], None)
        for number in range(10):
            surrogate.observe("c0", f"q{number}", {f"Own {number}": 3}, {f"Own {number}": 1})
        assert surrogate.fit().weights == pytest.approx({f"Own {number}": 0.1 for number in range(10)})

    def test_what_has_no_weight_is_no_part_of_the_reward(self) -> None:
        surrogate = Surrogate(SurrogatePrior())
        surrogate.add("c0", ["seed"], None)
        surrogate.observe("c0", "q1", {"Clarity": 3, "Shown": 1}, {"Clarity": 1, "Shown": 0})
        assert set(surrogate.fit().weights) == {"Clarity"}

    @pytest.mark.parametrize("seen", [False, True])
    def test_without_anything_that_counts_there_is_nothing_to_fit(self, seen: bool) -> None:
        surrogate = Surrogate(SurrogatePrior())
        surrogate.add("c0", ["seed"], None)
        if seen:
            surrogate.observe("c0", "q1", {"Shown": 3}, {"Shown": 0})
        with pytest.raises(ValueError, match="nothing has been observed"):
            surrogate.fit()


CALLED = [("Clarity",), ("Depth", "Tone"), ("Clarity", "Depth"), ("Tone",)]
observations = st.lists(
    st.tuples(st.sampled_from(["c0", "c1", "c2"]), st.integers(0, 9), st.integers(2, 10)),
    min_size=1,
    max_size=20,
)


@settings(max_examples=50)
@given(observations)
def test_whatever_was_seen_the_fit_is_finite_and_the_order_of_evaluations_says_nothing(
    seen: list[tuple[str, int, int]],
) -> None:
    def fit(rows: list[tuple[str, int, int]]) -> Posterior:
        surrogate = Surrogate(SurrogatePrior())
        surrogate.add("c0", ["seed", "more"], None)
        surrogate.add("c1", ["seed", "one"], frozenset({"Clarity"}))
        surrogate.add("c2", ["one", "two", "one"], frozenset({"Depth"}))
        for candidate, query, halves in rows:
            called = CALLED[query % 4]
            surrogate.observe(
                candidate, f"q{query}", dict.fromkeys(called, halves / 2), dict.fromkeys(called, 2)
            )
        return surrogate.fit()

    posterior, reverse = fit(seen), fit(seen[::-1])
    assert sum(posterior.weights.values()) == pytest.approx(1)
    for name in ("c0", "c1", "c2"):
        assert abs(posterior.reward(name)) < 10
        assert 1 <= posterior.reward(name) <= 5
        assert posterior.reward(name) == pytest.approx(reverse.reward(name), abs=1e-6)
        assert posterior.deviation(name, "c0") == pytest.approx(reverse.deviation(name, "c0"), abs=1e-6)
        assert posterior.deviation(name, name) == 0
