"""The held-out gate: is the winner better than what is served now, on queries nobody has looked at?"""

import contextlib
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from optimizer.concurrency import run_together
from optimizer.errors import BudgetExceededError
from optimizer.evaluation import HELD_OUT_ROUND, Evaluator
from optimizer.events import GateFinished
from optimizer.statistics import PairedDifference, paired_difference
from optimizer.types import Candidate, Query, Scored, Step

MIN_PAIRS = 8
"""Fewer pairs than this promote nothing: an interval from so few is not to be trusted."""

MAX_MISSING_SHARE = 0.2
"""Above this share of held-out queries without a score on either side nothing is concluded: those left are no
fair sample of what was held out."""

MAX_EXTRA_MISSING_SHARE = 0.1
"""Nor where the winner lacks scores on so much larger a share of the queries than the incumbent: it may do
well only where it is answered at all."""

PROMOTED = "promoted"
KEPT = "kept"
NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


async def run_gate(
    evaluator: Evaluator,
    *,
    incumbent: Candidate,
    winner: Candidate,
    held_out: Sequence[Query],
    incumbent_evaluator: Evaluator | None = None,
) -> GateFinished:
    """Compare ``winner`` with ``incumbent`` on ``held_out`` queries, paired.

    ``promoted`` needs at least ``MIN_PAIRS`` queries on which both were scored, few on which one was not
    (``MAX_MISSING_SHARE``, ``MAX_EXTRA_MISSING_SHARE``), and an interval above zero; ``kept`` the same
    without an upper end above zero, or the same prompt with the same examples; anything else is not enough
    evidence.

    Args:
        evaluator: runs and judges the winner.
        incumbent: what is served now, or the seed prompt.
        winner: what the search found.
        held_out: queries that the search has not touched.
        incumbent_evaluator: runs the incumbent where it has other examples than the winner; None where the
            prompts are all that can differ.

    A query that the budget does not reach lacks a score like any other.

    Raises:
        ModelError: a backend cannot be used.
    """
    if incumbent_evaluator is None and winner.system_prompt == incumbent.system_prompt:
        return _without_difference(KEPT, "the search found nothing better than the prompt it started from")
    before, after, _ = await run_together(
        [
            (incumbent_evaluator or evaluator).evaluate_affordable(
                incumbent, held_out, round_number=HELD_OUT_ROUND
            ),
            evaluator.evaluate_affordable(winner, held_out, round_number=HELD_OUT_ROUND),
            _prepare(evaluator, incumbent, held_out),
        ]
    )
    return _verdict_on(before, after)


def _verdict_on(before: Step, after: Step) -> GateFinished:
    pairs = [
        (one.score.reward, other.score.reward)
        for one, other in zip(before.evaluations, after.evaluations, strict=True)
        if isinstance(one.score, Scored) and isinstance(other.score, Scored)
    ]
    missing = len(after.evaluations) - len(pairs)
    if not pairs:
        reason = f"no held-out query was scored for both prompts{_usual_gap(before, after)}"
        return _without_difference(NOT_ENOUGH_EVIDENCE, reason, missing=missing)
    baseline, treated = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    difference = paired_difference(baseline, treated)
    gaps = _describe_gaps(before, after, missing)
    verdict, reason = _judge(difference) if gaps is None else (NOT_ENOUGH_EVIDENCE, gaps)
    return GateFinished(
        verdict=verdict,
        queries=difference.pairs,
        missing=missing,
        baseline_reward=fmean(baseline),
        candidate_reward=fmean(treated),
        difference=difference.mean,
        low=difference.low,
        high=difference.high,
        reason=reason,
    )


def _usual_gap(before: Step, after: Step) -> str:
    """The most frequent reason for a missing score; the first of them where several are."""
    scores = (item.score for step in (before, after) for item in step.evaluations)
    gaps = Counter(score.reason for score in scores if not isinstance(score, Scored)).most_common(1)
    return "".join(f": {reason}" for reason, _ in gaps)


def _describe_gaps(before: Step, after: Step, missing: int) -> str | None:
    """What is wrong with the queries that lack a score; None where there are few and on both sides alike."""
    total = len(after.evaluations)
    incumbent, winner = (
        sum(not isinstance(item.score, Scored) for item in step.evaluations) for step in (before, after)
    )
    if missing > MAX_MISSING_SHARE * total:
        claim = f"too many of the {total} held-out queries lack a score"
    elif winner - incumbent > MAX_EXTRA_MISSING_SHARE * total:
        claim = f"the winner lacks a score on many more of the {total} held-out queries"
    else:
        return None
    return f"{claim}: {winner} for the winner, {incumbent} for the incumbent"


def not_compared(reason: str) -> GateFinished:
    """The verdict where no comparison could be made."""
    return _without_difference(NOT_ENOUGH_EVIDENCE, reason)


async def _prepare(evaluator: Evaluator, candidate: Candidate, queries: Sequence[Query]) -> Step:
    with contextlib.suppress(BudgetExceededError):  # the evaluations meet it, too
        await evaluator.prepare(queries)
    return Step(candidate=candidate, evaluations=())


def _judge(difference: PairedDifference) -> tuple[str, str]:
    if difference.pairs < MIN_PAIRS or difference.low is None or difference.high is None:
        return (
            NOT_ENOUGH_EVIDENCE,
            f"{difference.pairs} held-out queries were scored for both prompts, {MIN_PAIRS} are needed",
        )
    shown = f"{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"
    if difference.low > 0:
        return PROMOTED, f"better on {difference.pairs} held-out queries: {shown}"
    if difference.high <= 0:
        return KEPT, f"not better on {difference.pairs} held-out queries: {shown}"
    return NOT_ENOUGH_EVIDENCE, f"the interval on {difference.pairs} held-out queries holds zero: {shown}"


def _without_difference(verdict: str, reason: str, *, missing: int = 0) -> GateFinished:
    return GateFinished(
        verdict=verdict,
        queries=0,
        missing=missing,
        baseline_reward=None,
        candidate_reward=None,
        difference=None,
        low=None,
        high=None,
        reason=reason,
    )
