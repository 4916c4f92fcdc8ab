"""The stored form of a job's rewards."""

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from app.jobs.checks import build_check
from app.jobs.reward_spec import RewardSpec
from optimizer.config import PRESETS
from optimizer.estimate import USUAL_RATES, CallRates
from tests.architecture.sources import ROOT

OWN: dict[str, Any] = {"name": "Wit", "description": "It is funny."}
SHORT: dict[str, Any] = {"name": "Short", "kind": "length", "max": 50}


def offered(*names: str) -> list[dict[str, Any]]:
    return [{**OWN, "name": name, "always": False} for name in names]


@pytest.mark.parametrize(
    ("rewards", "rates"),
    [
        ({}, USUAL_RATES),
        ({"weights": {"Safety": 2}, "checks": [SHORT]}, USUAL_RATES),
        ({"judges": ["judge", "strict", "kind"]}, CallRates(rollout=4, query=1)),
        ({"http": {"url": "http://127.0.0.1/"}}, CallRates(rollout=3, query=1)),
        ({"catalogue": False, "criteria": [OWN]}, CallRates(rollout=2, query=0)),
        ({"catalogue": False, "criteria": offered("A", "B")}, CallRates(rollout=2, query=0)),
        ({"catalogue": False, "criteria": offered("A", "B", "C")}, CallRates(rollout=2, query=1)),
        ({"catalogue": False, "checks": [SHORT]}, CallRates(rollout=1, query=0)),
    ],
)
def test_the_calls_that_scoring_takes_are_known_beforehand(rewards: dict[str, Any], rates: CallRates) -> None:
    assert RewardSpec.model_validate(rewards).rates(PRESETS["default"]) == rates


@pytest.mark.parametrize(("preset", "reasons"), [("default", 4), ("paper", 1)])
def test_reasons_are_counted_where_scores_come_without(preset: str, reasons: int) -> None:
    config = PRESETS[preset]
    spec = RewardSpec.model_validate({"judging": "logprobs"})
    assert spec.rates(config) == CallRates(rollout=2, query=1, proposal=1 + reasons)
    assert RewardSpec().rates(config).proposal == 1
    unjudged = {"judging": "logprobs", "catalogue": False, "checks": [SHORT]}
    assert RewardSpec.model_validate(unjudged).rates(config).proposal == 1


def test_the_usual_judging_is_not_named_in_what_is_stored() -> None:
    assert "judging" not in RewardSpec().to_json()
    assert RewardSpec.model_validate({"judging": "text"}).version == RewardSpec().version
    stored = RewardSpec.model_validate({"judging": "logprobs"}).to_json()
    assert stored["judging"] == "logprobs"
    assert RewardSpec.model_validate(stored).version != RewardSpec().version


def test_the_version_changes_with_anything_in_it_and_only_then() -> None:
    specs = [
        {"criteria": [OWN]},
        {"criteria": [{**OWN, "weight": 2}]},
        {"checks": [SHORT]},
        {"checks": [{**SHORT, "required": True}]},
    ]
    assert len({RewardSpec.model_validate(spec).version for spec in specs}) == len(specs)
    stored = RewardSpec.model_validate(specs[1])
    assert RewardSpec.model_validate(stored.to_json()).version == stored.version


def test_the_example_of_the_readme_can_be_used() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = [block for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if '"checks"' in block]
    spec = RewardSpec.model_validate(json.loads(example))
    assert {check.kind for check in spec.checks} == {"regex", "json_schema", "length", "forbidden_words"}
    assert [build_check(check).name for check in spec.checks] == [check.name for check in spec.checks]


@pytest.mark.parametrize("weight", [-1, 1001, float("nan"), float("inf"), "much"])
def test_a_weight_is_a_number_from_0_on(weight: object) -> None:
    with pytest.raises(ValidationError):
        RewardSpec.model_validate({"weights": {"Safety": weight}})
