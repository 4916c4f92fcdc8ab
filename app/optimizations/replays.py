"""From a job that has ended to one that replays it: same queries, same record, other settings or the same."""

from pydantic import ValidationError

from app.errors import conflict, gone
from app.jobs.spec import JobSpec, ReplaySpec
from app.jobs.views import job_spec
from app.optimizations.schemas import ReplayOptimization
from optimizer.config import SearchConfig
from optimizer.errors import InvalidInputError
from optimizer.types import JsonObject
from store.records.calls import LedgerShare
from store.records.optimizations import OptimizationRecord, OptimizationStatus


def build_replay(source: OptimizationRecord, request: ReplayOptimization, share: LedgerShare) -> JobSpec:
    """The job that replays ``source``.

    Args:
        source: the job to replay.
        request: what differs.
        share: what ``source`` has in the ledger.

    Raises:
        InvalidInputError: the settings cannot work, or ``source`` is a replay itself.
        ApiError: it has not ended, has no finished call (409), or its calls have been dropped (410).
    """
    spec = job_spec(source)
    if spec.replay is not None:
        raise InvalidInputError(
            f"{source.id} is itself a replay and has no calls of its own: replay {spec.replay.of}"
        )
    if not source.status.is_final:
        raise conflict(f"{source.id} has not ended: wait for its end, or cancel it first")
    if share.dropped_at is not None:
        raise gone(
            f"the recorded calls of {source.id} have been dropped to keep the ledger small "
            "(ledger.keep_days, ledger.max_bytes): it cannot be replayed any more",
            code="ledger_dropped",
        )
    if not share.calls:
        raise conflict(f"{source.id} has made no call that could be replayed")
    config = replayed_config(spec.config, request.settings)
    return spec.model_copy(
        update={
            "name": request.name,
            "config": config,
            "label": None,
            "forecast": None,
            "replay": ReplaySpec(
                of=source.id,
                config=spec.config,
                exact=config == spec.config,
                finished=source.status is OptimizationStatus.SUCCEEDED,
            ),
        }
    )


def replayed_config(config: SearchConfig, settings: JsonObject) -> SearchConfig:
    """``config`` with ``settings`` on top; groups such as ``judge`` are merged field by field.

    Raises:
        InvalidInputError: a setting is unknown or out of range, or would change every call.
    """
    merged: JsonObject = config.model_dump(mode="json")
    if settings.get("seed", config.seed) != config.seed:
        raise InvalidInputError(
            "settings.seed: another seed draws other answers, none of which is on record",
            param="settings.seed",
        )
    if "beam_width" in settings and "path_aggregation" not in settings:
        merged = _without_default_aggregation(config, merged)
    for name, value in settings.items():
        group = merged.get(name)
        merged[name] = {**group, **value} if isinstance(group, dict) and isinstance(value, dict) else value
    try:
        return SearchConfig.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(["settings", *(str(part) for part in first["loc"])])
        raise InvalidInputError(f"{param}: {first['msg']}", param=param) from error


def _without_default_aggregation(config: SearchConfig, merged: JsonObject) -> JsonObject:
    """The rule of the beam's width goes with the width, where it was not chosen apart."""
    by_width = SearchConfig(beam_width=config.beam_width).path_aggregation
    if config.path_aggregation != by_width:
        return merged
    return {name: value for name, value in merged.items() if name != "path_aggregation"}
