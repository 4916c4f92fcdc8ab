"""A job's row."""

import json

import pytest
from pydantic import ValidationError

from app.jobs.spec import BudgetSpec, JobSpec
from optimizer.budget import Limits
from optimizer.config import PRESETS

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


def test_a_row_of_another_shape_is_refused() -> None:
    with pytest.raises(ValidationError):
        JobSpec.from_json({**SPEC.to_json(), "later_field": 1})
