from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.config import PRESETS, RacingConfig, SearchConfig
from optimizer.estimate import CallRates, GateSize
from optimizer.plan import (
    DEFAULT_CALLS,
    LEAST_CALLS,
    SearchPlan,
    least_calls,
    plan_search,
    planned_calls,
    racing_calls_by_role,
)
from optimizer.types import ModelRole

rates = st.builds(
    CallRates, rollout=st.integers(1, 5), query=st.integers(0, 2), proposal=st.sampled_from([1, 1, 5])
)


def spent(plan: SearchPlan, rounds: int, rate: CallRates) -> int:
    """Calls of the screening, so many rounds up to their first looks, and the final."""
    first, later = (plan.round_calls(first=first, rates=rate) for first in (True, False))
    screening = plan.screening * (rate.rollout + rate.query)
    return screening + first + (rounds - 1) * later + plan.final


class TestSizes:
    @given(st.integers(0, 100_000), st.integers(2, 500), rates)
    def test_no_plan_is_without_queries_entrants_or_a_block(
        self, calls: int, queries: int, rate: CallRates
    ) -> None:
        plan = plan_search(calls, queries=queries, rates=rate)
        assert 2 <= plan.screening <= min(48, queries)
        assert 2 <= plan.entrants <= 10
        assert plan.block >= 3
        assert plan.blocks >= 2
        assert plan.calls == calls

    @given(st.integers(LEAST_CALLS, 100_000), st.integers(2, 500), st.booleans())
    def test_screening_the_first_round_and_the_final_fit_into_every_plan_worth_making(
        self, calls: int, queries: int, reads: bool
    ) -> None:
        plan = plan_search(calls, queries=queries, reads_instructions=reads)
        assert spent(plan, 1, CallRates()) <= calls

    @given(st.integers(LEAST_CALLS, 100_000), st.integers(2, 500), st.integers(1, 5))
    def test_so_does_it_where_every_proposal_is_preceded_by_reasons(
        self, calls: int, queries: int, proposal: int
    ) -> None:
        rate = CallRates(proposal=proposal)
        enough = max(calls, least_calls(PRESETS["default"], rates=rate))
        assert spent(plan_search(enough, queries=queries, rates=rate), 1, rate) <= enough

    @given(st.integers(2, 500), rates)
    def test_more_calls_never_buy_less(self, queries: int, rate: CallRates) -> None:
        plans = [
            plan_search(calls, queries=queries, rates=rate) for calls in (50, 100, 200, 400, 800, 1600, 3200)
        ]
        for less, more in pairwise(plans):
            assert more.screening >= less.screening
            assert more.final >= less.final
            assert more.recombinations >= less.recombinations
            assert more.first_requests >= less.first_requests

    @pytest.mark.parametrize("calls", [449, 450, 1199, 1200])
    def test_a_large_budget_brings_fresh_queries_and_wider_races(self, calls: int) -> None:
        plan = plan_search(calls, queries=400)
        assert plan.fresh == (2 if calls >= 450 else 0)
        assert plan.entrants == (10 if calls >= 1200 else 8 if calls >= 450 else 5)
        assert (plan.block, plan.blocks) == ((4, 3) if calls >= 1200 else (3, 2))

    def test_dear_answers_make_smaller_races(self) -> None:
        usual = plan_search(200, queries=400)
        dear = plan_search(200, queries=400, rates=CallRates(rollout=6))
        assert (dear.screening, dear.entrants) < (usual.screening, usual.entrants)


class TestRounds:
    @given(st.integers(LEAST_CALLS, 20_000), st.integers(2, 500), st.booleans())
    def test_as_many_rounds_are_promised_as_fit_up_to_their_first_looks(
        self, calls: int, queries: int, reads: bool
    ) -> None:
        plan = plan_search(calls, queries=queries, reads_instructions=reads)
        rounds = plan.rounds_after(0)
        assert rounds >= 1
        assert spent(plan, rounds, CallRates()) <= calls or rounds == 1
        assert spent(plan, rounds + 1, CallRates()) > calls

    @given(st.integers(0, 20_000), st.integers(2, 500), rates)
    def test_rounds_left_fall_one_by_one_to_none(self, calls: int, queries: int, rate: CallRates) -> None:
        plan = plan_search(calls, queries=queries, rates=rate)
        rounds = plan.rounds_after(0, rates=rate)
        left = [plan.rounds_after(made, rates=rate) for made in range(rounds + 3)]
        assert left == [*range(rounds, -1, -1), 0, 0]


def gate_of(queries: int) -> GateSize:
    return GateSize(queries=queries, finalists=1, with_seed_prompt=False, judged_again=0)


class TestCallsOfAJob:
    def test_a_job_takes_what_is_planned_and_the_gate(self) -> None:
        plan = plan_search(300, queries=400)
        found = racing_calls_by_role(plan, gate=gate_of(10))
        without = racing_calls_by_role(plan, gate=gate_of(0))
        assert set(found) == {ModelRole.TARGET, ModelRole.PROPOSER, ModelRole.SELECTOR, ModelRole.JUDGE}
        assert sum(item.expected for item in without.values()) == pytest.approx(plan.calls, abs=2)
        more = {role: found[role].expected - without[role].expected for role in found}
        assert more == {
            ModelRole.TARGET: 20,
            ModelRole.PROPOSER: 0,
            ModelRole.SELECTOR: 10,
            ModelRole.JUDGE: 20,
        }

    def test_what_new_instructions_are_about_takes_one_call_of_the_proposer_a_round(self) -> None:
        plan = plan_search(300, queries=400, reads_instructions=True)
        plain = plan_search(300, queries=400)
        assert plan.round_calls(first=False) == plain.round_calls(first=False) + 1
        found = racing_calls_by_role(plan, gate=gate_of(0))
        rounds = plan.rounds_after(0)
        asked = found[ModelRole.PROPOSER]
        assert asked.expected == plan.first_requests + (rounds - 1) * plan.requests + rounds
        assert asked.low == 2
        assert sum(item.expected for item in found.values()) == pytest.approx(plan.calls, abs=2)

    @given(st.integers(LEAST_CALLS, 20_000), st.integers(0, 100), rates)
    def test_each_role_takes_at_least_its_least_and_at_most_its_most(
        self, calls: int, held_out: int, rate: CallRates
    ) -> None:
        found = racing_calls_by_role(
            plan_search(calls, queries=400, rates=rate), gate=gate_of(held_out), rates=rate
        )
        for item in found.values():
            assert 0 <= item.low <= item.expected <= item.high


class TestCallsToPlanWith:
    def test_without_a_limit_there_is_a_usual_number(self) -> None:
        assert planned_calls(PRESETS["default"], None) == DEFAULT_CALLS

    def test_a_search_plans_with_what_is_left_or_with_less_where_its_settings_say_so(self) -> None:
        config = SearchConfig(racing=RacingConfig(calls=100))
        assert planned_calls(PRESETS["default"], 5000) == 5000
        assert planned_calls(config, 5000) == 100
        assert planned_calls(config, 60) == 60

    def test_a_beam_search_has_no_plan(self) -> None:
        with pytest.raises(ValueError, match="those of a beam search"):
            planned_calls(PRESETS["paper"], 100)

    def test_the_least_calls_are_those_of_the_smallest_plan_or_of_two_rounds_of_a_beam(self) -> None:
        assert least_calls(PRESETS["default"]) == LEAST_CALLS
        assert least_calls(PRESETS["default"], rates=CallRates(rollout=5)) == 2 * LEAST_CALLS
        assert least_calls(PRESETS["paper"]) == 3 + 8
