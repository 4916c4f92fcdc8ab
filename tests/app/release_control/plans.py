"""Releases without a store."""

from collections.abc import Mapping
from typing import Any

from app.release_control.plan import Plan, plan_of
from store.records.prompts import LabelRecord
from store.records.releases import ArmKey, ArmTally, ReleaseRecord, ReleaseView

MOVED = 1000.0
STRETCH = 1_000_000_000


def view(policy: Mapping[str, Any], salt: str = "salt", **labels: str) -> ReleaseView:
    """A release whose ``labels`` were all moved, and whose policy was set, at ``MOVED``."""
    release = ReleaseRecord(
        model="m",
        policy=dict(policy),
        salt=salt,
        changed_by="ann",
        changed_at=MOVED,
        suspect_stretch=None,
        suspect_label=None,
        suspect_since=None,
        quiet_until=None,
    )
    pointers = tuple(
        LabelRecord(model="m", label=label, version_id=version_id, moved_at=MOVED)
        for label, version_id in labels.items()
    )
    return ReleaseView(release=release, labels=pointers)


def plan(policy: Mapping[str, Any], tallies: dict[ArmKey, ArmTally] | None = None, /, **labels: str) -> Plan:
    """What such a release means."""
    return plan_of(view(policy, **labels), tallies or {})


def key(arm: str, version_id: str, stretch: int = STRETCH) -> ArmKey:
    """Of counts."""
    return ArmKey(model="m", stretch=stretch, arm=arm, version_id=version_id)
