import dataclasses

import pytest

from app.backend_settings import CapabilityOverrides
from app.llm.capabilities import Capabilities, settled_by
from optimizer.types import JsonObject


def test_a_record_survives_the_store() -> None:
    can = Capabilities(n=False, max_tokens_field="max_completion_tokens")
    assert Capabilities.from_json(can.to_json()) == can


@pytest.mark.parametrize("change", [{"n": "yes"}, {"max_tokens_field": "other"}, {"flight": True}])
def test_what_somebody_else_wrote_is_not_a_record(change: JsonObject) -> None:
    assert Capabilities.from_json({**Capabilities().to_json(), **change}) is None
    assert Capabilities.from_json({"n": True}) is None


def test_the_version_tells_records_apart_and_stays() -> None:
    versions = {
        dataclasses.replace(Capabilities(), **{name: False}).version  # type: ignore[arg-type]
        for name in ("system_role", "sampling", "n", "seed", "json_schema", "usage")
    }
    assert len(versions) == 6
    assert Capabilities().version == Capabilities().version
    assert len(Capabilities().version) == 12


def test_the_settings_have_the_last_word() -> None:
    overrides = CapabilityOverrides(n=False, max_tokens_field="max_completion_tokens")
    expected = Capabilities(seed=False, n=False, max_tokens_field="max_completion_tokens")
    assert Capabilities(seed=False).overridden_by(overrides) == expected


def test_every_capability_can_be_set() -> None:
    names = {item.name for item in dataclasses.fields(Capabilities)}
    assert set(CapabilityOverrides.model_fields) == names
    assert not settled_by(CapabilityOverrides(n=True))
    whole = CapabilityOverrides.model_validate(Capabilities().to_json())
    assert settled_by(whole)
