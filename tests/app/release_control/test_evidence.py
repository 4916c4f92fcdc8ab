"""What counts as worse, and what does not."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from app.release_control.evidence import Finding, find_worse
from store.records.prompts import LabelMoveRecord
from store.records.releases import ArmKey, ArmTally
from tests.app.release_control.plans import MOVED, STRETCH, key, plan

RULE: Mapping[str, Any] = {"min_requests": 50}
CANARY: Mapping[str, Any] = {"canary": {"weight": 0.5}, "rollback": RULE}
GOOD, BAD = ArmTally(requests=500, errors=5), ArmTally(requests=100, errors=40)


def arms(candidate: ArmTally, production: ArmTally) -> dict[ArmKey, ArmTally]:
    return {key("candidate", "c"): candidate, key("production", "p"): production}


def found(tallies: dict[ArmKey, ArmTally], policy: Mapping[str, Any] | None = None) -> Finding | None:
    released = plan(policy or CANARY, production="p", candidate="c")
    return find_worse(released, tallies, None, is_ours=False)


def test_a_candidate_that_fails_more_often_goes_back_to_productions_version() -> None:
    finding = found(arms(BAD, GOOD))
    assert finding is not None
    assert (finding.label, finding.version_id, finding.back_to) == ("candidate", "c", "p")
    assert finding.reason.startswith("40 of 100 requests failed (at least ")
    assert "against 5 of 500 (at most " in finding.reason


def test_a_candidate_that_is_rated_worse_goes_back_too() -> None:
    rated = arms(ArmTally(rated=100, negative=60), ArmTally(rated=200, negative=20))
    finding = found(rated)
    assert finding is not None
    assert "60 of 100 ratings were negative" in finding.reason
    assert found(rated, {**CANARY, "rollback": {**RULE, "max_negative_increase": None}}) is None


@pytest.mark.parametrize(
    "tallies",
    [
        arms(GOOD, BAD),
        arms(GOOD, GOOD),
        arms(ArmTally(requests=100, errors=40), ArmTally(requests=500, errors=190)),  # a backend's bad hour
        arms(ArmTally(requests=49, errors=49), GOOD),  # too few
        arms(BAD, ArmTally(requests=49)),
        {key("candidate", "c", stretch=1): BAD, key("production", "p"): GOOD},  # of before a move
        {key("candidate", "c"): BAD, key("production", "p", stretch=1): GOOD},
    ],
)
def test_less_than_that_moves_nothing(tallies: dict[ArmKey, ArmTally]) -> None:
    assert found(tallies) is None


def test_what_is_allowed_and_what_is_not_watched_moves_nothing() -> None:
    worse = arms(BAD, GOOD)
    assert found(worse, {"canary": {"weight": 0.5}}) is None
    assert found(worse, {**CANARY, "rollback": {**RULE, "max_error_increase": 0.3}}) is None
    assert found(worse, {**CANARY, "rollback": {**RULE, "max_error_increase": None}}) is None
    same = plan(CANARY, production="p", candidate="p")
    assert find_worse(same, worse, None, is_ours=False) is None
    as_it_is = plan(CANARY, candidate="c")
    assert find_worse(as_it_is, worse, None, is_ours=False) is None


MOVE = LabelMoveRecord(
    id=9, model="m", label="production", from_version="o", to_version="p", actor="job", reason="r", at=MOVED
)
PROMOTED = {key("production", "p"): BAD, key("production", "o", stretch=STRETCH - 5): GOOD}


def test_a_promotion_is_compared_with_the_version_before() -> None:
    released = plan({"rollback": RULE}, production="p")
    finding = find_worse(released, PROMOTED, MOVE, is_ours=False)
    assert finding is not None
    assert (finding.label, finding.version_id, finding.back_to) == ("production", "p", "o")


def test_what_backends_refuse_counts_between_arms_but_not_between_times() -> None:
    refused = ArmTally(requests=100, errors=40, refusals=40)
    finding = found(arms(refused, GOOD))
    assert finding is not None
    assert finding.reason.startswith("40 of 100 requests failed")
    released = plan({"rollback": RULE}, production="p")
    for bad, is_worse in ((refused, False), (BAD, True), (BAD.plus(refused), True)):
        tallies = {**PROMOTED, key("production", "p"): bad}
        assert (find_worse(released, tallies, MOVE, is_ours=False) is not None) is is_worse


@pytest.mark.parametrize("change", [{"undoes": 3}, {"from_version": None}, {"to_version": "elsewhere"}])
def test_other_moves_are_not_looked_at(change: dict[str, object]) -> None:
    released = plan({"rollback": RULE}, production="p")
    assert find_worse(released, PROMOTED, dataclasses.replace(MOVE, **change), is_ours=False) is None  # type: ignore[arg-type]
    assert find_worse(released, PROMOTED, MOVE, is_ours=True) is None
