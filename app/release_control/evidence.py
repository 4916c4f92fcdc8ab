"""Whether a version is worse than the one that it is compared with: from counts to a move, or to none."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.labelled_prompts import PRODUCTION
from app.release_control.plan import Plan, arm_tallies
from app.release_control.policy import Rollback
from optimizer.shares import ShareCount, share_interval
from store.records.prompts import LabelMoveRecord
from store.records.releases import ArmKey, ArmTally

_LOOKS = 4
"""Intervals that have to hold together: of errors and of ratings, on two sides."""
_NOTHING = ArmTally()
_MICROS = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A version that is worse: its label should point to another one.

    Attributes:
        label / version_id: what points where now.
        back_to: the version that it should point to.
        reason: with the numbers.
    """

    label: str
    version_id: str
    back_to: str
    reason: str


def find_worse(
    plan: Plan, tallies: Mapping[ArmKey, ArmTally], last_move: LabelMoveRecord | None, *, is_ours: bool
) -> Finding | None:
    """The first version that is worse than what it is compared with.

    Another arm is compared with production in the same stretch, so that a bad hour, or callers whose requests
    are refused, hit both. A version that production was moved to is compared with the one before, in the time
    before, without what backends refused: callers may have changed what they ask.

    Args:
        plan: the release.
        tallies: all that was counted for it.
        last_move: production's.
        is_ours: whether the service made that move by itself.
    """
    rule = plan.policy.rollback
    current = next((arm.version_id for arm in plan.arms if arm.label == PRODUCTION), None)
    if rule is None or current is None:
        return None
    found = _worse_arm(rule, plan, current, arm_tallies(tallies, plan.stretch))
    if found is not None or last_move is None or is_ours or last_move.undoes is not None:
        return found
    return _worse_move(rule, current, last_move, tallies)


def _worse_arm(rule: Rollback, plan: Plan, current: str, counted: Mapping[str, ArmTally]) -> Finding | None:
    for arm in plan.arms:
        if arm.version_id is None or arm.version_id == current:
            continue
        worse = _worse(rule, counted.get(arm.label, _NOTHING), counted.get(PRODUCTION, _NOTHING))
        if worse is not None:
            return Finding(label=arm.label, version_id=arm.version_id, back_to=current, reason=worse)
    return None


def _worse_move(
    rule: Rollback, current: str, move: LabelMoveRecord, tallies: Mapping[ArmKey, ArmTally]
) -> Finding | None:
    before, moved = move.from_version, int(move.at * _MICROS)
    if before is None or move.to_version != current:
        return None
    now = _sum(item for key, item in tallies.items() if _is(key, current) and key.stretch >= moved)
    then = _sum(item for key, item in tallies.items() if _is(key, before) and key.stretch < moved)
    worse = _worse(rule, _but_refusals(now), _but_refusals(then))
    if worse is None:
        return None
    return Finding(label=PRODUCTION, version_id=current, back_to=before, reason=worse)


def _is(key: ArmKey, version_id: str) -> bool:
    return key.arm == PRODUCTION and key.version_id == version_id


def _sum(tallies: Iterator[ArmTally]) -> ArmTally:
    total = _NOTHING
    for tally in tallies:
        total = total.plus(tally)
    return total


def _but_refusals(tally: ArmTally) -> ArmTally:
    requests, errors = tally.requests - tally.refusals, tally.errors - tally.refusals
    return dataclasses.replace(tally, requests=requests, errors=errors, refusals=0)


def _worse(rule: Rollback, challenger: ArmTally, baseline: ArmTally) -> str | None:
    looks = (
        ("requests failed", rule.max_error_increase, _errors(challenger), _errors(baseline)),
        ("ratings were negative", rule.max_negative_increase, _negative(challenger), _negative(baseline)),
    )
    for what, allowed, new, old in looks:
        if allowed is None or min(new.total, old.total) < rule.min_requests:
            continue
        level = rule.level / _LOOKS
        low, high = share_interval(new, level=level)[0], share_interval(old, level=level)[1]
        if low > high + allowed:
            return (
                f"{new.hits:g} of {new.total} {what} (at least {low:.1%}), "
                f"against {old.hits:g} of {old.total} (at most {high:.1%})"
            )
    return None


def _errors(tally: ArmTally) -> ShareCount:
    return ShareCount(hits=tally.errors, total=tally.requests)


def _negative(tally: ArmTally) -> ShareCount:
    return ShareCount(hits=tally.negative, total=tally.rated)
