"""The rule of the held-out gate: from the answers of all contenders to a verdict."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from optimizer.gate_config import GateConfig
from optimizer.regressions import SAFETY, Pair, compare_groups, turned_unsafe
from optimizer.reliability import JudgeReport
from optimizer.statistics import pairs_needed, plausible_gain, simultaneous_differences, spread_of
from optimizer.types import Scored, Step
from optimizer.verdicts import Conclusion, FinalistResult, GroupDifference, PairedDifference, Verdict

MIN_PAIRS = 8
"""Fewer pairs than this promote nothing: an interval from so few is not to be trusted."""

MAX_MISSING_SHARE = 0.2
"""Above this share of held-out queries without a score on either side nothing is concluded: those left are no
fair sample of what was held out."""

MAX_EXTRA_MISSING_SHARE = 0.1
"""Nor where a finalist lacks scores on so much larger a share of the queries than the incumbent: it may do
well only where it is answered at all."""

_SWAYED = 0.5
_SATURATED = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """All contenders on the same held-out queries.

    Attributes:
        incumbent: what is served now.
        finalists: the candidates of the search, best first, at least one.
        seed_prompt: where the search started; None where it is the incumbent.
    """

    incumbent: Step
    finalists: tuple[Step, ...]
    seed_prompt: Step | None = None


def conclude(answers: Answers, config: GateConfig, *, judge: JudgeReport) -> Conclusion:
    """The verdict.

    ``promoted`` needs a finalist whose gain's interval, which holds for all finalists at once, lies above
    ``margin``; with ``MIN_PAIRS`` pairs, few queries without a score (``MAX_MISSING_SHARE``,
    ``MAX_EXTRA_MISSING_SHARE``), no loss that is shown on safety or on a kind of query, and a judge that
    agrees with itself. ``kept`` is the verdict where no finalist can be better by more than the margin, or
    the best one is worse somewhere; anything else is not enough evidence.
    """
    results = _compare(answers, config)
    chosen = _choose(results, config)
    verdict, reason = _judge(chosen, results, config)
    if verdict is Verdict.PROMOTED and judge.is_below(config.min_judge_agreement):
        verdict = Verdict.NOT_ENOUGH_EVIDENCE
        reason = (
            f"the judge agrees with itself too little to decide by ({judge.agreement:.2f}, "
            f"{config.min_judge_agreement:g} is needed): {reason}"
        )
        needed = None
    else:
        needed = _queries_needed(chosen, verdict, answers, config)
        reason += _outlook(verdict, needed, chosen)
    return Conclusion(
        verdict=verdict,
        reason=reason,
        chosen=chosen,
        finalists=results,
        seed_gain=_seed_gain(answers, chosen),
        queries_needed=needed,
        warnings=(*_doubts_about_safety(chosen, config), *_doubts_about_judge(judge)),
    )


def _compare(answers: Answers, config: GateConfig) -> tuple[FinalistResult, ...]:
    before = answers.incumbent
    pairs = [_pairs(before, step) for step in answers.finalists]
    comparable = [step for step, found in zip(answers.finalists, pairs, strict=True) if found]
    gains = dict(
        zip(
            (step.candidate.id for step in comparable),
            simultaneous_differences(_rewards(before), [_rewards(step) for step in comparable]),
            strict=True,
        )
    )
    return tuple(
        _result(before, step, found, gains.get(step.candidate.id), config)
        for step, found in zip(answers.finalists, pairs, strict=True)
    )


def _result(
    before: Step, after: Step, pairs: Sequence[Pair], gain: PairedDifference | None, config: GateConfig
) -> FinalistResult:
    missing = len(after.evaluations) - len(pairs)
    if gain is None:
        return FinalistResult(
            candidate_id=after.candidate.id,
            reward=None,
            baseline_reward=None,
            missing=missing,
            gain=None,
            obstacle=f"no held-out query was scored for both prompts{_usual_gap(before, after)}",
        )
    groups = compare_groups(pairs, config)
    loss = next((group for group in groups if group.is_loss), None)
    return FinalistResult(
        candidate_id=after.candidate.id,
        reward=fmean(other for _, other in _reward_pairs(pairs)),
        baseline_reward=fmean(one for one, _ in _reward_pairs(pairs)),
        missing=missing,
        gain=gain,
        groups=groups,
        obstacle=_gaps(before, after, missing) or (None if loss is None else _describe_loss(loss)),
        is_worse_somewhere=loss is not None,
        turned_unsafe=turned_unsafe(pairs, config),
    )


def _choose(results: Sequence[FinalistResult], config: GateConfig) -> FinalistResult:
    """The finalist that the verdict is about: the best of those that can be promoted, else of the rest."""

    def rank(result: FinalistResult) -> tuple[bool, bool, float]:
        mean = -math.inf if result.gain is None else result.gain.mean
        return result.obstacle is None and _is_ahead(result, config), result.obstacle is None, mean

    return max(results, key=rank)


def _is_ahead(result: FinalistResult, config: GateConfig) -> bool:
    gain = result.gain
    return gain is not None and gain.low is not None and gain.low > config.margin


def _judge(
    chosen: FinalistResult, results: Sequence[FinalistResult], config: GateConfig
) -> tuple[Verdict, str]:
    gain = chosen.gain
    if chosen.obstacle is not None or gain is None:
        ahead = f"better by {_show(gain)}, but " if gain is not None and _is_ahead(chosen, config) else ""
        verdict = Verdict.KEPT if chosen.is_worse_somewhere else Verdict.NOT_ENOUGH_EVIDENCE
        return verdict, f"{ahead}{chosen.obstacle}"
    if gain.pairs < MIN_PAIRS:
        return (
            Verdict.NOT_ENOUGH_EVIDENCE,
            f"{gain.pairs} held-out queries were scored for both prompts, {MIN_PAIRS} are needed",
        )
    best_of = f", the best of {len(results)}" if len(results) > 1 else ""
    told = f"on {gain.pairs} held-out queries{best_of}: {_show(gain)}"
    if _is_ahead(chosen, config):
        return Verdict.PROMOTED, f"better {told}"
    if all(_is_no_better(result, config) for result in results):
        return Verdict.KEPT, f"not better {told}"
    bar = "zero" if config.margin == 0 else f"the margin of {config.margin:g}"
    return Verdict.NOT_ENOUGH_EVIDENCE, f"the interval does not lie above {bar} {told}"


def _is_no_better(result: FinalistResult, config: GateConfig) -> bool:
    gain = result.gain
    return gain is not None and gain.high is not None and gain.high <= config.margin


def _queries_needed(
    chosen: FinalistResult, verdict: Verdict, answers: Answers, config: GateConfig
) -> int | None:
    gain = chosen.gain
    if verdict is not Verdict.NOT_ENOUGH_EVIDENCE or chosen.obstacle is not None or gain is None:
        return None
    needed: int | None = MIN_PAIRS
    if gain.low is not None:
        step = next(item for item in answers.finalists if item.candidate.id == chosen.candidate_id)
        pairs = _reward_pairs(_pairs(answers.incumbent, step))
        spread = spread_of([other - one for one, other in pairs])
        quantile = (gain.mean - gain.low) / spread.error
        effect = plausible_gain(gain.mean - config.margin, gain.pairs)
        needed = pairs_needed(effect, spread, quantile=quantile)
    if needed is None:
        return None
    held_out = len(answers.incumbent.evaluations)
    return math.ceil(max(needed, MIN_PAIRS) * held_out / gain.pairs)  # some will lack a score again


def _outlook(verdict: Verdict, needed: int | None, chosen: FinalistResult) -> str:
    if needed is not None:
        return f"; about {needed} new ones would probably decide"
    undecided = verdict is Verdict.NOT_ENOUGH_EVIDENCE and chosen.obstacle is None
    return "; no number of further queries is likely to" if undecided else ""


def _seed_gain(answers: Answers, chosen: FinalistResult) -> PairedDifference | None:
    """What the search itself has gained, by the same rule as the gain over the incumbent."""
    seed = answers.seed_prompt
    if seed is None:
        return chosen.gain
    steps = [step for step in answers.finalists if step.candidate.id != seed.candidate.id]
    comparable = [step for step in steps if _pairs(seed, step)]
    places = [step.candidate.id for step in comparable]
    if chosen.candidate_id not in places:
        return None
    gains = simultaneous_differences(_rewards(seed), [_rewards(step) for step in comparable])
    return gains[places.index(chosen.candidate_id)]


def _gaps(before: Step, after: Step, missing: int) -> str | None:
    """What is wrong with the queries that lack a score; None where there are few and on both sides alike."""
    total = len(after.evaluations)
    incumbent, finalist = (
        sum(not isinstance(item.score, Scored) for item in step.evaluations) for step in (before, after)
    )
    if missing > MAX_MISSING_SHARE * total:
        claim = f"too many of the {total} held-out queries lack a score"
    elif finalist - incumbent > MAX_EXTRA_MISSING_SHARE * total:
        claim = f"the new prompt lacks a score on many more of the {total} held-out queries"
    else:
        return None
    return f"{claim}: {finalist} for the new prompt, {incumbent} for the current one"


def _usual_gap(before: Step, after: Step) -> str:
    """The most frequent reason for a missing score; the first of them where several are."""
    scores = (item.score for step in (before, after) for item in step.evaluations)
    gaps = Counter(score.reason for score in scores if not isinstance(score, Scored)).most_common(1)
    return "".join(f": {reason}" for reason, _ in gaps)


def _describe_loss(group: GroupDifference) -> str:
    where = "on safety" if group.group == SAFETY else f"on queries of the kind {group.group!r}"
    most = "" if group.most is None else f", {group.most:+.2f} at best"
    return f"worse {where}: {group.difference:+.2f} on {group.pairs} held-out queries{most}"


def _doubts_about_safety(chosen: FinalistResult, config: GateConfig) -> list[str]:
    doubts = []
    if chosen.turned_unsafe:
        queries = ", ".join(chosen.turned_unsafe)
        doubts.append(f"answered safely before and unsafely now, by the judge: look at {queries}")
    watched = config.safety_kinds or config.safety_criteria
    if watched and not any(group.group == SAFETY and group.most is not None for group in chosen.groups):
        doubts.append("too few held-out queries are about safety to say anything about it")
    return doubts


def _doubts_about_judge(judge: JudgeReport) -> list[str]:
    doubts = []
    if judge.agreement is None and judge.mean_absolute_difference != 0:
        doubts.append("how far the judge agrees with itself was not measured")
    if judge.length_bias is not None and judge.length_bias > _SWAYED:
        doubts.append(f"longer answers get higher scores (correlation {judge.length_bias:.2f})")
    if judge.saturated_share is not None and judge.saturated_share > _SATURATED:
        doubts.append(f"{judge.saturated_share:.0%} of the scores are the highest: gains can hardly show")
    return doubts


def _show(gain: PairedDifference) -> str:
    ends = "" if gain.low is None or gain.high is None else f" [{gain.low:+.2f}, {gain.high:+.2f}]"
    return f"{gain.mean:+.2f}{ends}"


def _pairs(before: Step, after: Step) -> list[Pair]:
    """The evaluations of the queries that both have a score on."""
    both = zip(before.evaluations, after.evaluations, strict=True)
    return [
        (one, other)
        for one, other in both
        if isinstance(one.score, Scored) and isinstance(other.score, Scored)
    ]


def _rewards(step: Step) -> list[float | None]:
    return [item.score.reward if isinstance(item.score, Scored) else None for item in step.evaluations]


def _reward_pairs(pairs: Sequence[Pair]) -> list[tuple[float, float]]:
    return [
        (one.score.reward, other.score.reward)
        for one, other in pairs
        if isinstance(one.score, Scored) and isinstance(other.score, Scored)
    ]
