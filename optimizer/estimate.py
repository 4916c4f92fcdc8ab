"""How many calls a search makes, from its settings alone.

A round with b lineages of which s are skipped makes ``(b-s) + 2(M(b-s)+s) + 1`` requests (M proposals, one
query); retries and repair requests come on top.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from optimizer.config import SearchConfig
from optimizer.types import ModelRole


@dataclass(frozen=True, kw_only=True, slots=True)
class CallRates:
    """What scoring takes.

    Attributes:
        rollout: calls for each answer: the target's, and those of all who score it.
        query: calls for each query, whatever is answered to it: the selector's.
    """

    rollout: int = 2
    query: int = 1


USUAL_RATES = CallRates()
"""Target and judge, and one selection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallEstimate:
    """Calls of a whole search: if nothing is skipped, and the most that there can be."""

    expected: int
    maximum: int


def round_calls(config: SearchConfig, *, lineages: int, skipped: int, rates: CallRates = USUAL_RATES) -> int:
    """Calls of one round, selections for its queries included."""
    rewritten = lineages - skipped
    rollouts = (config.proposals_per_candidate * rewritten + skipped) * config.minibatch_size
    return rewritten + rates.rollout * rollouts + rates.query * config.minibatch_size


def seed_calls(config: SearchConfig, *, rates: CallRates = USUAL_RATES) -> int:
    """Calls that judge the seed prompt."""
    return (rates.rollout + rates.query) * config.minibatch_size


def search_calls(config: SearchConfig, *, rates: CallRates = USUAL_RATES) -> CallEstimate:
    """Calls of a search that runs to its end."""
    calls, lineages = seed_calls(config, rates=rates), 1
    for _ in range(config.depth - 1):
        calls += round_calls(config, lineages=lineages, skipped=0, rates=rates)
        lineages = min(config.beam_width, lineages * config.proposals_per_candidate)
    # A round is added only where one lineage is skipped, which makes that round cheaper than a full one.
    extra = round_calls(config, lineages=config.beam_width, skipped=1, rates=rates)
    return CallEstimate(expected=calls, maximum=calls + config.max_depth_increase * extra)


def gate_calls(held_out: int, *, rates: CallRates = USUAL_RATES) -> int:
    """Calls of the gate: two candidates on each held-out query, and the selection for it."""
    return held_out * (2 * rates.rollout + rates.query)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallRange:
    """Calls at least, as expected, and at most: without more repairs and retries than ``REPAIRS`` allows."""

    low: int
    expected: int
    high: int


REPAIRS = 1.1
"""For the upper end: one call in ten is made again, or is followed by a repair request."""


def calls_by_role(
    config: SearchConfig, *, held_out: int, rates: CallRates = USUAL_RATES
) -> Mapping[ModelRole, CallRange]:
    """The calls of a whole job, search and gate, before it starts.

    At least: every lineage is skipped, the criteria are known, and there is nothing to compare. As expected:
    nothing is skipped. At most: every skip adds a round.

    Args:
        config: the search; it has as many rounds as there are queries for.
        held_out: queries of the gate.
        rates: what scoring takes.
    """
    proposals, rollouts, lineages = 0, 1, 1
    for _ in range(config.depth - 1):
        proposals += lineages
        rollouts += config.proposals_per_candidate * lineages
        lineages = min(config.beam_width, lineages * config.proposals_per_candidate)
    more, rewritten = config.max_depth_increase, config.beam_width - 1
    size = config.minibatch_size
    answers = CallRange(
        low=config.depth * size,
        expected=rollouts * size + 2 * held_out,
        high=(rollouts + more * (config.proposals_per_candidate * rewritten + 1)) * size + 2 * held_out,
    )
    queries = config.depth * size + held_out
    scorings = rates.rollout - 1
    return {
        ModelRole.TARGET: with_repairs(answers),
        ModelRole.PROPOSER: with_repairs(
            CallRange(low=0, expected=proposals, high=proposals + more * rewritten)
        ),
        ModelRole.SELECTOR: with_repairs(
            CallRange(low=0, expected=rates.query * queries, high=rates.query * (queries + more * size))
        ),
        ModelRole.JUDGE: with_repairs(
            CallRange(
                low=scorings * answers.low,
                expected=scorings * answers.expected,
                high=scorings * answers.high,
            )
        ),
    }


def with_repairs(calls: CallRange) -> CallRange:
    """``calls`` with what repairs may add to the most."""
    return CallRange(low=calls.low, expected=calls.expected, high=math.ceil(calls.high * REPAIRS))
