"""What a verdict rests on, in lines for a person: gains, losses, the judge, doubts."""

from typing import Any

Json = dict[str, Any]


def describe_evidence(gate: Json, judge: Json | None) -> list[str]:
    """What stands behind the verdict of ``gate``; without the verdict itself."""
    lines = []
    if gate.get("seed_gain") is not None and gate["seed_gain"]["difference"] != gate["difference"]:
        lines.append(f"gain over the seed prompt: {_gain(gate['seed_gain'])}")
    losses = [group for group in gate.get("groups", ()) if group["difference"] < 0]
    if losses:
        parts = (
            f"{group['group']} {group['difference']:+.2f} ({group['queries']}{', shown' * group['is_loss']})"
            for group in losses
        )
        lines.append(f"worse on (queries): {', '.join(parts)}")
    if judge is not None:
        lines.append(f"judge: {describe_judge(judge)}")
    lines += [f"note: {warning}" for warning in gate.get("warnings", ())]
    return lines


def describe_judge(judge: Json) -> str:
    """How far the judge can be relied on, in one line."""
    parts = []
    if judge["agreement"] is not None:
        parts.append(f"agreement with itself {judge['agreement']:.2f} on {judge['judged_again']} answers")
    if judge["length_bias"] is not None:
        parts.append(f"score and length correlate {judge['length_bias']:+.2f}")
    if judge["saturated_share"] is not None:
        parts.append(f"{judge['saturated_share']:.0%} of scores are 5")
    if judge["tied_share"] is not None:
        parts.append(f"{judge['tied_share']:.0%} of pairs tie")
    if judge["unscored_share"]:
        parts.append(f"{judge['unscored_share']:.0%} unscored")
    return ", ".join(parts) or "too little was judged to say anything"


def _gain(gain: Json) -> str:
    ends = "" if gain["low"] is None else f" [{gain['low']:+.2f}, {gain['high']:+.2f}]"
    return f"{gain['difference']:+.2f}{ends}"
