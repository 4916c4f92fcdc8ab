"""How many calls a search makes, from its settings alone.

A round with b lineages of which s are skipped makes ``(b-s) + 2(M(b-s)+s) + 1`` requests (M proposals, one
query); retries and repair requests come on top.
"""

from dataclasses import dataclass

from optimizer.config import SearchConfig


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
