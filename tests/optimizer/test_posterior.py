import numpy as np
import pytest

from optimizer.posterior import CriterionPosterior, LinePriors, Posterior, Response
from optimizer.surrogate import Surrogate, SurrogatePrior

PRIOR_MEAN, PRIOR_VARIANCE = 0.25, 0.36


def one_criterion(
    *,
    level: float = 3.0,
    spread: float = 0.0,
    means: tuple[float, ...] = (0.0, 0.5),
    line_means: tuple[float, ...] = (0.0, 0.5),
    line_variances: tuple[float, ...] = (0.36, 0.36),
    aimed: tuple[bool, ...] = (False, True),
) -> CriterionPosterior:
    size = len(means)
    return CriterionPosterior(
        levels=np.array([level - spread, level + spread]),
        shares=np.array([0.5, 0.5]),
        noise=0.01,
        means=np.array(means),
        covariance=0.04 * np.eye(size),
        line_means=np.array(line_means),
        line_variances=np.array(line_variances),
        priors=LinePriors(
            means=np.full(len(aimed), PRIOR_MEAN),
            variances=np.full(len(aimed), PRIOR_VARIANCE),
            aimed=np.array(aimed),
        ),
    )


def posterior_of(**criteria: tuple[float, CriterionPosterior]) -> Posterior:
    return Posterior(
        candidates={"c0": 0, "c1": 1},
        lines={"seed": 0, "line": 1},
        weights={name: weight for name, (weight, _) in criteria.items()},
        criteria={name: found for name, (_, found) in criteria.items()},
    )


class TestCandidates:
    def test_the_reward_is_the_mean_over_the_criteria_by_their_weights(self) -> None:
        posterior = posterior_of(
            Clarity=(0.75, one_criterion(level=3.0, means=(0.0, 0.4))),
            Depth=(0.25, one_criterion(level=2.0, means=(0.2, -0.4))),
        )
        assert posterior.reward("c1") == pytest.approx(0.75 * 3.4 + 0.25 * 1.6)
        assert posterior.criterion_means("c0") == pytest.approx({"Clarity": 3.0, "Depth": 2.2})

    def test_expected_scores_stay_on_the_scale_whatever_the_strength(self) -> None:
        posterior = posterior_of(Clarity=(1.0, one_criterion(level=4.5, means=(-9.0, 1.5))))
        assert (posterior.reward("c0"), posterior.reward("c1")) == (1.0, 5.0)

    def test_more_strength_brings_nothing_on_the_queries_that_have_a_five(self) -> None:
        posterior = posterior_of(Clarity=(0.5, one_criterion(level=5.0, spread=1.0, means=(0.0, 0.5))))
        assert posterior.criterion_means("c0") == pytest.approx({"Clarity": 4.5})
        assert posterior.criterion_means("c1") == pytest.approx({"Clarity": 4.75})
        assert posterior.gain("c0", "Clarity", 0.5) == pytest.approx(0.5 * 0.25)
        assert posterior.gain("c0", "Clarity", 3.0) == pytest.approx(0.5 * 0.5)
        assert posterior.deviation("c0", "c1") == pytest.approx(0.5 * 0.5 * 0.08**0.5)

    def test_the_doubt_about_a_difference_adds_up_over_criteria(self) -> None:
        found = one_criterion()
        alone, shared = (
            posterior_of(Clarity=(1.0, found)),
            posterior_of(Clarity=(0.5, found), Depth=(0.5, found)),
        )
        assert alone.deviation("c0", "c1") == pytest.approx(0.08**0.5)
        assert shared.deviation("c0", "c1") == pytest.approx((2 * 0.25 * 0.08) ** 0.5)
        assert alone.deviation("c1", "c1") == 0


class TestLines:
    def test_without_a_draw_effects_are_the_means(self) -> None:
        posterior = posterior_of(Clarity=(1.0, one_criterion()))
        assert posterior.line_effects(None)["Clarity"].tolist() == [0.0, 0.5]

    def test_draws_scatter_around_the_means_as_far_as_there_is_doubt(self) -> None:
        posterior = posterior_of(Clarity=(1.0, one_criterion(line_variances=(-1e-12, 0.36))))
        rng = np.random.default_rng(5)
        drawn = np.array([posterior.line_effects(rng)["Clarity"] for _ in range(4000)])
        assert set(drawn[:, 0]) == {0.0}, "a variance below zero is rounding"
        assert drawn[:, 1].mean() == pytest.approx(0.5, abs=0.05)
        assert drawn[:, 1].std() == pytest.approx(0.6, abs=0.05)

    def test_the_same_draw_gives_the_same_effects(self) -> None:
        posterior = posterior_of(Clarity=(1.0, one_criterion()))
        first, second = (posterior.line_effects(np.random.default_rng(8))["Clarity"] for _ in range(2))
        assert first.tolist() == second.tolist()


class TestTheResponseOfACriterion:
    PRIOR = Response(mean=0.35, deviation=0.25)

    def response(self, found: CriterionPosterior) -> Response:
        return posterior_of(Clarity=(1.0, found)).response("Clarity", expected=0.35, deviation=0.25)

    def test_lines_that_nobody_tried_say_nothing(self) -> None:
        assert self.response(one_criterion()) == self.PRIOR

    def test_lines_written_for_other_criteria_say_nothing(self) -> None:
        tried = one_criterion(line_variances=(0.01, 0.01), aimed=(False, False))
        assert self.response(tried) == self.PRIOR

    @pytest.mark.parametrize(("effect", "low", "high"), [(0.0, 0.05, 0.3), (1.0, 0.45, 0.9)])
    def test_what_lines_for_it_have_done_moves_it_and_makes_it_surer(
        self, effect: float, low: float, high: float
    ) -> None:
        response = self.response(one_criterion(line_means=(0.0, effect), line_variances=(0.36, 0.01)))
        assert low < response.mean < high
        assert response.deviation < self.PRIOR.deviation

    def test_a_line_that_is_known_exactly_counts_no_more_than_lines_are_alike(self) -> None:
        response = self.response(one_criterion(line_means=(0.0, 1.0), line_variances=(0.36, 0.0)))
        prior, seen = 1 / 0.25**2, 1 / 0.3**2
        assert response.mean == pytest.approx((0.35 * prior + 1.0 * seen) / (prior + seen), abs=1e-6)

    def test_many_useless_lines_show_that_a_target_is_deaf(self) -> None:
        surrogate = Surrogate(SurrogatePrior())
        surrogate.add("c0", ["seed"], None)
        for number in range(8):
            surrogate.add(f"c{number + 1}", ["seed", f"line {number}"], frozenset({"Clarity"}))
        for query in range(10):
            for number in range(9):
                surrogate.observe(f"c{number}", f"q{query}", {"Clarity": 3.0}, {"Clarity": 1.0})
        response = surrogate.fit().response("Clarity", expected=0.35, deviation=0.25)
        assert response.mean < 0.25
        assert response.deviation < 0.15
