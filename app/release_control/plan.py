"""Who answers a model's next requests: arms with shares, and a draw that gives the same key the same arm."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.labelled_prompts import PRODUCTION
from app.release_control.policy import Bandit, ReleasePolicy, Shadow, policy_of
from optimizer.shares import ShareCount, chances_of_best
from store.records.releases import ArmKey, ArmTally, DrawnArm, ReleaseView

SHADOW_ARM: Final = "(shadow)"
"""What copies are counted under; no label can be called so."""
_MICROS: Final = 1_000_000
_NOTHING: Final = ArmTally()
_DIGEST_BYTES: Final = 6
_PLACES: Final = float(2 ** (8 * _DIGEST_BYTES))


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One of those who answer; ``version_id`` is None for the model as it is."""

    label: str
    version_id: str | None
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ShadowArm:
    """Who is asked once more.

    Attributes:
        is_spent: whether the copies have used what they may.
    """

    version_id: str
    policy: Shadow
    is_spent: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a release means right now.

    Attributes:
        stretch: microseconds since 1970 at which a label or the policy changed last.
        arms: those with a share above 0, which add up to 1; production last, where it has one.
    """

    model: str
    policy: ReleasePolicy
    salt: bytes
    stretch: int
    arms: tuple[Arm, ...]
    shadow: ShadowArm | None

    def drawn_shadow(self, chance: random.Random) -> ShadowArm | None:
        """The shadow that a request is copied for, or None."""
        if self.shadow is None or self.shadow.is_spent or chance.random() >= self.shadow.policy.share:
            return None
        return self.shadow

    def draw(self, key: str | None, chance: random.Random) -> tuple[Arm, DrawnArm]:
        """The arm for a request, and how it came to it.

        While the share of a single other arm grows, keys only move from production to it.

        Args:
            key: what keeps its arm; None draws.
            chance: draws then.
        """
        place = chance.random() if key is None else _place(self.salt, key)
        for arm in self.arms[:-1]:
            place -= arm.share
            if place < 0:
                break
        else:
            arm = self.arms[-1]
        return arm, DrawnArm(arm=arm.label, propensity=arm.share, stretch=self.stretch)


def plan_of(view: ReleaseView, tallies: Mapping[ArmKey, ArmTally]) -> Plan:
    """What the release in ``view`` means, by what was counted so far.

    A bandit's shares take milliseconds: call it in a thread.

    Raises:
        UnreadablePolicyError: a newer version has written its policy.
    """
    policy = policy_of(view.release.policy)
    pointers = {record.label: record.version_id for record in view.labels}
    stretch = stretch_of(view, policy)
    labels = [label for label in policy.labels if label in pointers or label == PRODUCTION]
    shares = _shares(policy, labels, arm_tallies(tallies, stretch))
    arms = tuple(
        Arm(label=label, version_id=pointers.get(label), share=share)
        for label, share in zip(labels, shares, strict=True)
        if share > 0
    )
    return Plan(
        model=view.release.model,
        policy=policy,
        salt=view.release.salt.encode(),
        stretch=stretch,
        arms=arms,
        shadow=_shadow(policy.shadow, pointers, arm_tallies(tallies, stretch)),
    )


def stretch_of(view: ReleaseView, policy: ReleasePolicy) -> int:
    """When the policy or one of its labels changed last, in microseconds since 1970."""
    shadow = () if policy.shadow is None else (policy.shadow.label,)
    moves = [record.moved_at for record in view.labels if record.label in (*policy.labels, *shadow)]
    return int(max([view.release.changed_at, *moves]) * _MICROS)


def arm_tallies(tallies: Mapping[ArmKey, ArmTally], stretch: int) -> dict[str, ArmTally]:
    """What was counted in a stretch, by arm."""
    found: dict[str, ArmTally] = {}
    for key, tally in tallies.items():
        if key.stretch == stretch:
            found[key.arm] = found.get(key.arm, _NOTHING).plus(tally)
    return found


def _place(salt: bytes, key: str) -> float:
    digest = hashlib.blake2b(
        key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES, key=salt
    ).digest()
    return int.from_bytes(digest) / _PLACES


def _shares(policy: ReleasePolicy, labels: Sequence[str], counted: Mapping[str, ArmTally]) -> list[float]:
    if len(labels) == 1:
        return [1.0]
    if policy.canary is not None:
        return [policy.canary.weight, 1 - policy.canary.weight]
    if policy.bandit is None:
        return [0.0] * (len(labels) - 1) + [1.0]
    return _thompson(policy.bandit, [counted.get(label, _NOTHING) for label in labels])


def _thompson(bandit: Bandit, tallies: Sequence[ArmTally]) -> list[float]:
    if bandit.reward == "feedback":
        counts = [ShareCount(hits=max(0.0, tally.reward), total=tally.rated) for tally in tallies]
    else:
        counts = [ShareCount(hits=tally.requests - tally.errors, total=tally.requests) for tally in tallies]
    rest = 1 - bandit.min_share * len(tallies)
    return [bandit.min_share + rest * chance for chance in chances_of_best(counts)]


def _shadow(
    policy: Shadow | None, pointers: Mapping[str, str], counted: Mapping[str, ArmTally]
) -> ShadowArm | None:
    version_id = None if policy is None else pointers.get(policy.label)
    if policy is None or version_id is None:
        return None
    used = counted.get(SHADOW_ARM, _NOTHING)
    costs_too_much = policy.max_cost is not None and used.micros >= policy.max_cost * _MICROS
    is_spent = used.requests >= policy.max_requests or costs_too_much
    return ShadowArm(version_id=version_id, policy=policy, is_spent=is_spent)
