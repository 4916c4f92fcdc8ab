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
        proposal: calls for each request to the proposer at most: its own, and those for reasons it is shown.
    """

    rollout: int = 2
    query: int = 1
    proposal: int = 1

    @property
    def reasons(self) -> int:
        """Calls of the judge for each request to the proposer at most."""
        return self.proposal - 1


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
    made = rates.proposal * rewritten
    return made + rates.rollout * rollouts + rates.query * config.minibatch_size


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


@dataclass(frozen=True, kw_only=True, slots=True)
class GateSize:
    """How much the gate compares.

    Attributes:
        queries: held-out queries.
        finalists: candidates that meet the incumbent on them.
        with_seed_prompt: whether the seed prompt does, too, being another one.
        judged_again: answers that are scored a second time.
    """

    queries: int
    finalists: int
    with_seed_prompt: bool
    judged_again: int

    @property
    def contenders(self) -> int:
        """All who answer, the incumbent among them."""
        return self.finalists + 1 + self.with_seed_prompt


def gate_calls(size: GateSize, *, rates: CallRates = USUAL_RATES) -> int:
    """Calls of the gate: all contenders on each query, its selection, and what is scored again."""
    answers = size.queries * size.contenders
    again = min(size.judged_again, answers) if size.queries else size.judged_again
    return answers * rates.rollout + size.queries * rates.query + again * (rates.rollout - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallRange:
    """Calls at least, as expected, and at most: without more repairs and retries than ``REPAIRS`` allows."""

    low: int
    expected: int
    high: int


REPAIRS = 1.1
"""For the upper end: one call in ten is made again, or is followed by a repair request."""


def calls_by_role(
    config: SearchConfig, *, gate: GateSize, rates: CallRates = USUAL_RATES, gate_judge: bool = False
) -> Mapping[ModelRole, CallRange]:
    """The calls of a whole job, search and gate, before it starts.

    At least: every lineage is skipped, the criteria are known, and there is nothing to compare. As expected:
    nothing is skipped. At most: every skip adds a round.

    Args:
        config: the search; it has as many rounds as there are queries for.
        gate: how much the gate compares.
        rates: what scoring takes.
        gate_judge: whether another model than the search's judges the gate.
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
        expected=rollouts * size,
        high=(rollouts + more * (config.proposals_per_candidate * rewritten + 1)) * size,
    )
    queries = config.depth * size + gate.queries
    requests = CallRange(low=0, expected=proposals, high=proposals + more * rewritten)
    return {
        **answers_by_role(answers, gate, rates=rates, gate_judge=gate_judge, requests=requests),
        ModelRole.PROPOSER: with_repairs(requests),
        ModelRole.SELECTOR: with_repairs(
            CallRange(low=0, expected=rates.query * queries, high=rates.query * (queries + more * size))
        ),
    }


def answers_by_role(
    answers: CallRange,
    gate: GateSize,
    *,
    requests: CallRange,
    rates: CallRates = USUAL_RATES,
    gate_judge: bool = False,
) -> dict[ModelRole, CallRange]:
    """The calls of target and judges for ``answers`` in the search and those of the gate, with repairs.

    For ``requests`` to the proposer the judge gives reasons, as ``rates`` say.
    """
    compared = gate.queries * gate.contenders
    again = min(gate.judged_again, compared) if gate.queries else gate.judged_again
    scorings = rates.rollout - 1
    explained = _times(requests, rates.reasons)
    judged = _plus(
        _times(answers, scorings), CallRange(low=0, expected=explained.expected, high=explained.high)
    )
    judged_at_gate = _times(CallRange(low=0, expected=compared + again, high=compared + again), scorings)
    judges = {ModelRole.JUDGE: judged, ModelRole.GATE_JUDGE: judged_at_gate}
    if not gate_judge:
        judges = {ModelRole.JUDGE: _plus(judged, judged_at_gate)}
    asked = _plus(answers, CallRange(low=0, expected=compared, high=compared))
    return {role: with_repairs(calls) for role, calls in {ModelRole.TARGET: asked, **judges}.items()}


def with_repairs(calls: CallRange) -> CallRange:
    """``calls`` with what repairs may add to the most."""
    return CallRange(low=calls.low, expected=calls.expected, high=math.ceil(calls.high * REPAIRS))


def _times(calls: CallRange, count: int) -> CallRange:
    return CallRange(low=calls.low * count, expected=calls.expected * count, high=calls.high * count)


def _plus(one: CallRange, other: CallRange) -> CallRange:
    return CallRange(
        low=one.low + other.low, expected=one.expected + other.expected, high=one.high + other.high
    )
