"""Who answers a request: the same key always the same arm, and shares that are kept."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.release_control.plan import SHADOW_ARM, plan_of
from app.release_control.policy import ReleasePolicy
from store.records.releases import ArmTally
from tests.app.release_control.plans import MOVED, STRETCH, key, plan, view

CHANCE = random.Random(1)
BANDIT = {"bandit": {"labels": ["b", "c"], "min_share": 0.1}}


def canary(weight: float) -> dict[str, object]:
    return {"canary": {"weight": weight}}


def arm_of(weight: float, user: str, salt: str = "salt") -> str:
    found = plan_of(view(canary(weight), salt, production="p", candidate="c"), {})
    return found.draw(user, CHANCE)[0].label


@given(
    user=st.text(min_size=1),
    weights=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    salt=st.text(alphabet="0123456789abcdef", min_size=1, max_size=32),
)
def test_a_growing_weight_only_moves_keys_to_the_candidate(
    user: str, weights: tuple[float, float], salt: str
) -> None:
    low, high = sorted(weights)
    assert arm_of(low, user, salt) == arm_of(low, user, salt)
    if arm_of(low, user, salt) == "candidate":
        assert arm_of(high, user, salt) == "candidate"
    assert arm_of(0, user, salt) == "production"
    assert arm_of(1, user, salt) == "candidate"


@pytest.mark.parametrize("weight", [0.05, 0.3])
def test_keys_and_draws_are_split_by_the_weight(weight: float) -> None:
    found = plan(canary(weight), production="p", candidate="c")
    for users in ([f"user-{number}" for number in range(10_000)], [None] * 10_000):
        share = sum(found.draw(user, CHANCE)[0].label == "candidate" for user in users) / len(users)
        assert share == pytest.approx(weight, abs=0.015)


def test_another_salt_splits_otherwise() -> None:
    users = [f"user-{number}" for number in range(200)]
    assert [arm_of(0.5, user, "a") for user in users] != [arm_of(0.5, user, "b") for user in users]


def test_the_propensity_is_the_arms_share() -> None:
    arm, drawn = plan(canary(0.25), production="p", candidate="c").draw("x", CHANCE)
    assert drawn.arm == arm.label
    assert drawn.propensity == {"candidate": 0.25, "production": 0.75}[drawn.arm]
    assert drawn.stretch == STRETCH


def test_a_label_that_points_to_nothing_gets_nothing() -> None:
    (only,) = plan(canary(0.5), production="p").arms
    assert (only.label, only.version_id, only.share) == ("production", "p", 1.0)
    as_it_is = plan(canary(0.5), candidate="c").arms[-1]
    assert (as_it_is.label, as_it_is.version_id) == ("production", None)
    (all_of_it,) = plan(canary(1.0), production="p", candidate="c").arms
    assert all_of_it.label == "candidate"


def test_a_stretch_begins_with_the_last_change_of_what_takes_part() -> None:
    seen = view({**canary(0.5), "shadow": {}}, production="p", candidate="c", other="o", shadow="s")

    def moved(label: str) -> int:
        labels = [
            dataclasses.replace(record, moved_at=MOVED + 1) if record.label == label else record
            for record in seen.labels
        ]
        return plan_of(dataclasses.replace(seen, labels=tuple(labels)), {}).stretch

    assert moved("other") == STRETCH
    assert {moved(label) for label in ("production", "candidate", "shadow")} == {STRETCH + 1_000_000}
    later = dataclasses.replace(seen.release, changed_at=MOVED + 2)
    assert plan_of(dataclasses.replace(seen, release=later), {}).stretch == STRETCH + 2_000_000


def test_a_bandit_follows_the_ratings_and_leaves_everybody_a_share() -> None:
    labels = {"production": "p", "b": "vb", "c": "vc"}
    even = plan(BANDIT, None, **labels)
    assert [arm.share for arm in even.arms] == pytest.approx([1 / 3] * 3, abs=1e-3)
    tallies = {
        key("b", "vb"): ArmTally(rated=100, reward=90),
        key("c", "vc"): ArmTally(rated=100, reward=50),
        key("production", "p"): ArmTally(rated=100, reward=40),
        key("c", "vc", stretch=1): ArmTally(rated=10**6, reward=10**6),  # of another stretch
    }
    found = plan(BANDIT, tallies, **labels)
    assert [arm.label for arm in found.arms] == ["b", "c", "production"]
    assert [arm.share for arm in found.arms] == pytest.approx([0.8, 0.1, 0.1], abs=1e-6)
    users = [f"user-{number}" for number in range(5000)]
    drawn = [found.draw(user, CHANCE)[1] for user in users]
    assert sum(item.arm == "b" for item in drawn) / len(users) == pytest.approx(0.8, abs=0.02)
    assert {round(item.propensity, 6) for item in drawn if item.arm != "b"} == {0.1}


def test_a_bandit_may_go_by_success() -> None:
    policy = {"bandit": {"labels": ["b"], "reward": "success"}}
    tallies = {
        key("b", "vb"): ArmTally(requests=200, errors=100),
        key("production", "p"): ArmTally(requests=200, errors=2),
    }
    assert plan(policy, tallies, production="p", b="vb").arms[-1].share == pytest.approx(0.95)


def test_a_shadow_copies_its_share_until_it_has_used_what_it_may() -> None:
    policy = {"shadow": {"share": 0.25, "max_requests": 10, "max_cost": 0.5}}
    found = plan(policy, production="p", shadow="s")
    copied = sum(found.drawn_shadow(CHANCE) is not None for _ in range(4000))
    assert copied / 4000 == pytest.approx(0.25, abs=0.03)
    assert found.arms[0].share == 1.0
    for used in (ArmTally(requests=10), ArmTally(micros=500_000)):
        spent = plan(
            {"shadow": {"max_requests": 10, "max_cost": 0.5}}, {key(SHADOW_ARM, "s"): used}, shadow="s"
        )
        assert spent.drawn_shadow(CHANCE) is None
    assert plan(policy, production="p").shadow is None


@pytest.mark.parametrize(
    "policy",
    [
        {"canary": {"weight": 1.1}},
        {"canary": {"weight": 0.5, "label": "production"}},
        {"canary": {"weight": 0.5}, "bandit": {"labels": ["b"]}},
        {"bandit": {"labels": []}},
        {"bandit": {"labels": ["b", "b"]}},
        {"bandit": {"labels": ["production"]}},
        {"bandit": {"labels": ["b", "c"], "min_share": 0.4}},
        {"shadow": {"label": "production"}},
        {"rollback": {"dwell_seconds": -1}},
        {"sticky": "ip"},
        {"unknown": 1},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(policy: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReleasePolicy.model_validate(policy)
