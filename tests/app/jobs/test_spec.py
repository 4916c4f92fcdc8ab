"""A job's row."""

import json

import pytest
from pydantic import ValidationError

from app.jobs.limits import current_budget
from app.jobs.software import SPEC_VERSION
from app.jobs.spec import BudgetSpec, JobSpec
from optimizer.budget import Limits
from optimizer.config import PRESETS
from optimizer.gate_config import GateConfig
from optimizer.types import JsonObject

SPEC = JobSpec(
    name=None,
    preset="mini",
    config=PRESETS["mini"],
    seed_prompt="Be kind.",
    dataset_id="ds_1",
    example_bank_id=None,
    held_out=8,
    search_queries=18,
    held_out_queries=8,
    budget=BudgetSpec(calls=10, cost=0.5),
    label="production",
    incumbent_version_id=None,
)


def test_a_spec_survives_the_row_it_is_stored_in() -> None:
    assert JobSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


def test_limits_are_those_of_the_budget() -> None:
    assert SPEC.budget.to_limits() == Limits(calls=10, tokens=None, cost=0.5, seconds=None)


def test_a_row_without_what_every_job_has_is_refused() -> None:
    with pytest.raises(ValidationError):
        JobSpec.from_json({name: value for name, value in SPEC.to_json().items() if name != "config"})


def test_a_row_of_a_newer_version_is_read_and_what_is_new_in_it_passed_over() -> None:
    stored = SPEC.to_json()
    config, budget, gate = stored["config"], stored["budget"], stored["gate"]
    assert isinstance(config, dict)
    assert isinstance(budget, dict)
    assert isinstance(gate, dict)
    later: JsonObject = {"later": 1}
    newer: JsonObject = {**stored, "later": {}, "config": config | later, "gate": gate | later}
    assert JobSpec.from_json(newer | {"budget": budget | later}) == SPEC
    assert current_budget(SPEC.budget, {**budget, "later": 1}) == SPEC.budget


def test_a_job_whose_instructions_are_read_is_for_versions_that_do_so_and_an_older_job_stays_without() -> (
    None
):
    assert SPEC.version == 1
    reading = SPEC.model_copy(update={"config": PRESETS["default"]})
    assert reading.version == SPEC_VERSION == 4
    stored = json.loads(json.dumps(reading.to_json()))
    del stored["config"]["racing"]["reads_instructions"]  # as a version before it stored it
    older = JobSpec.from_json(stored)
    assert older.version == 1
    assert older.config.racing is not None
    assert not older.config.racing.reads_instructions


def test_a_row_names_no_feature_that_its_job_does_without() -> None:
    """Or a version that does not know the feature would refuse all jobs of one that does."""
    stored = SPEC.to_json()
    unused = {"replay", "restart", "target_api", "rewards", "forecast", "gate_judge", "seed_is_incumbent"} | {
        "example_place"
    }
    assert unused.isdisjoint(stored)
    used = SPEC.model_copy(update={"gate_judge": True, "target_api": "completions"})
    assert {"gate_judge", "target_api"} <= used.to_json().keys()
    assert stored["gate"] == GateConfig().model_dump(mode="json"), "defaults change from version to version"
