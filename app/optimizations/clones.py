"""From a job to the request of a new one that is like it."""

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.jobs.views import job_spec
from app.optimizations.schemas import CreateOptimization
from optimizer.config import PRESETS
from optimizer.types import JsonObject
from store.records.optimizations import OptimizationRecord

_MERGED = ("settings", "budget")


def cloned_request(source: OptimizationRecord, changes: JsonObject) -> CreateOptimization:
    """The request that would make ``source`` again, under its limits now, with ``changes``.

    Settings and budget are put on top of the old ones; with another preset the old settings are left out,
    since they were chosen on top of another one.

    Raises:
        RequestValidationError: a field of ``changes`` is unknown or wrong.
    """
    request = _request_of(source)
    if "preset" in changes and changes["preset"] != request["preset"]:
        request["settings"] = {}
    for name, value in changes.items():
        before = request.get(name)
        is_merged = name in _MERGED and isinstance(before, dict) and isinstance(value, dict)
        request[name] = _on_top(before, value) if is_merged else value  # type: ignore[arg-type]  # both are objects
    try:
        return CreateOptimization.model_validate(request)
    except ValidationError as error:
        errors = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(errors, body=request) from error


def _request_of(source: OptimizationRecord) -> JsonObject:
    spec = job_spec(source)
    request: JsonObject = {
        "target": source.target,
        "preset": spec.preset,
        "settings": _differences(
            PRESETS[spec.preset].model_dump(mode="json", exclude={"path_aggregation"}),
            spec.config.model_dump(mode="json"),
        ),
        "seed_prompt": spec.seed_prompt,
        "queries": {"dataset": spec.dataset_id},
        "held_out": spec.held_out,
        "gate": spec.gate.model_dump(mode="json"),
        "examples": [] if spec.example_bank_id is None else {"bank": spec.example_bank_id},
        "budget": spec.budget.model_dump(mode="json"),
        "rewards": None if spec.rewards is None else spec.rewards.model_dump(mode="json", by_alias=True),
        "label": spec.label,
        "name": spec.name,
        "priority": source.priority,
    }
    return request


def _differences(usual: JsonObject, chosen: JsonObject) -> JsonObject:
    """What of ``chosen`` is not as ``usual``; of groups only what differs in them."""
    found: JsonObject = {}
    for name, value in chosen.items():
        before = usual.get(name)
        if name not in usual or value == before:
            continue
        if isinstance(before, dict) and isinstance(value, dict):
            found[name] = {field: item for field, item in value.items() if item != before.get(field)}
        else:
            found[name] = value
    return found


def _on_top(before: JsonObject, value: JsonObject) -> JsonObject:
    merged = dict(before)
    for name, item in value.items():
        group = merged.get(name)
        merged[name] = {**group, **item} if isinstance(group, dict) and isinstance(item, dict) else item
    return merged
