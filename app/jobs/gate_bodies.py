"""What the gate has found, as the JSON of a job's result and of its events."""

from optimizer.reliability import JudgeReport
from optimizer.types import JsonObject, JsonValue
from optimizer.verdicts import Conclusion, FinalistResult, GroupDifference, PairedDifference


def conclusion_body(conclusion: Conclusion) -> JsonObject:
    """The verdict with its numbers: those of the finalist that it is about, then all finalists."""
    chosen = conclusion.chosen
    return {
        "verdict": conclusion.verdict.value,
        "reason": conclusion.reason,
        **(_NOTHING if chosen is None else _finalist_body(chosen)),
        "queries_needed": conclusion.queries_needed,
        "seed_gain": None if conclusion.seed_gain is None else _gain_body(conclusion.seed_gain),
        "finalists": list[JsonValue](_finalist_body(item) for item in conclusion.finalists),
        "warnings": list[JsonValue](conclusion.warnings),
    }


def judge_body(report: JudgeReport) -> JsonObject:
    """What is known about the judge."""
    return {
        "answers": report.answers,
        "unscored_share": report.unscored_share,
        "judged_again": report.judged_again,
        "agreement": report.agreement,
        "mean_absolute_difference": report.mean_absolute_difference,
        "order_effect": report.order_effect,
        "length_bias": report.length_bias,
        "saturated_share": report.saturated_share,
        "tied_share": report.tied_share,
    }


def _finalist_body(result: FinalistResult) -> JsonObject:
    gain = result.gain
    return {
        "candidate_id": result.candidate_id,
        "queries": 0 if gain is None else gain.pairs,
        "missing": result.missing,
        "baseline_reward": result.baseline_reward,
        "candidate_reward": result.reward,
        "difference": None if gain is None else gain.mean,
        "low": None if gain is None else gain.low,
        "high": None if gain is None else gain.high,
        "groups": [_group_body(item) for item in result.groups],
        "obstacle": result.obstacle,
        "turned_unsafe": list(result.turned_unsafe),
    }


def _group_body(group: GroupDifference) -> JsonObject:
    return {
        "group": group.group,
        "queries": group.pairs,
        "difference": group.difference,
        "at_most": group.most,
        "is_loss": group.is_loss,
    }


def _gain_body(gain: PairedDifference) -> JsonObject:
    return {"queries": gain.pairs, "difference": gain.mean, "low": gain.low, "high": gain.high}


_NOTHING = _finalist_body(
    FinalistResult(candidate_id="", reward=None, baseline_reward=None, missing=0, gain=None)
) | {"candidate_id": None}
