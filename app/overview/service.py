"""What has become of each target: a few small queries a target, however many versions and candidates."""

from collections.abc import Mapping, Sequence
from typing import Final

from app.jobs.views import job_spec
from app.labelled_prompts import PRODUCTION
from app.overview.schemas import (
    CriterionChange,
    Gain,
    LastJob,
    Overview,
    ServedVersion,
    TargetOverview,
    Traffic,
)
from app.resources import Resources
from optimizer.types import JsonObject, JsonValue
from store.records.optimizations import JobKind, OptimizationRecord
from store.records.prompts import PromptVersionRecord
from store.records.usage import UsageGroup, UsageSums
from store.repositories.criterion_means import CriterionMeansRepository, CriterionSum

_HELD_OUT: Final = "held_out"
_GATE_STARTED: Final = "gate_started"
"""The key of the event that says who has met."""
_MOST_MODELS: Final = 10_000
_MILLION: Final = 1_000_000
_NOTHING: Final = UsageSums()


class OverviewService:
    """What the endpoint does, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """A service on ``resources``."""
        self._resources = resources
        self._prompts = resources.prompts
        self._means = CriterionMeansRepository(resources.database)

    async def show(self, models: Sequence[str], *, days: int) -> Overview:
        """The targets ``models``, with the traffic of the last ``days`` days."""
        usage = self._resources.access.usage
        today = await usage.today()
        rows = await usage.report(
            [UsageGroup.MODEL], since=today - days + 1, until=today, key_number=None, limit=_MOST_MODELS
        )
        traffic = {row.model: row.sums for row in rows}
        data = [await self._target(model, traffic.get(model, _NOTHING)) for model in models]
        return Overview(days=days, data=data)

    async def _target(self, model: str, sums: UsageSums) -> TargetOverview:
        version = await self._prompts.labelled(model, PRODUCTION)
        newest = await self._prompts.versions(model, limit=1)
        jobs = await self._resources.optimizations.list(limit=1, kind=JobKind.PROMPT, targets=[model])
        gain = None if version is None else _gain(version)
        return TargetOverview(
            model=model,
            production=None if version is None else await self._served(version),
            gain=gain,
            criteria=[] if version is None or gain is None else await self._criteria(version),
            versions=newest[0].number if newest else 0,
            traffic=Traffic(
                requests=sums.requests,
                failed=sums.failed,
                client_left=sums.client_left,
                prompt_tokens=sums.prompt_tokens,
                completion_tokens=sums.completion_tokens,
                cost=sums.micros / _MILLION,
            ),
            last_job=_last_job(jobs[0]) if jobs else None,
        )

    async def _served(self, version: PromptVersionRecord) -> ServedVersion:
        moves = await self._prompts.label_history(version.model, PRODUCTION, limit=1)
        last = moves[0] if moves else None
        provenance = version.provenance or {}
        usual = "by_hand" if version.optimization_id is None else "optimization"
        return ServedVersion.model_validate(
            {
                "id": version.id,
                "number": version.number,
                "how": provenance.get("how", usual),
                "moved_at": version.created_at if last is None else last.at,
                "moved_by": None if last is None else last.actor,
                "reason": None if last is None else last.reason,
            }
        )

    async def _criteria(self, version: PromptVersionRecord) -> list[CriterionChange]:
        """How incumbent and version did on each criterion in the gate, by its evaluations."""
        job, after = version.optimization_id, version.candidate_id
        if job is None or after is None:
            return []
        started = await self._resources.tree.announced(job, [_GATE_STARTED])
        before = started.get(_GATE_STARTED, {}).get("incumbent_id")
        if not isinstance(before, str):
            return []
        found = await self._means.of_candidates(job, [before, after], phase=_HELD_OUT)
        means = {(item.candidate_id, item.criterion): item for item in found}
        return [
            _change(name, means.get((before, name)), means.get((after, name)))
            for name in dict.fromkeys(item.criterion for item in found)
        ]


def _change(name: str, before: CriterionSum | None, after: CriterionSum | None) -> CriterionChange:
    return CriterionChange(
        criterion=name,
        before=None if before is None else before.mean,
        after=None if after is None else after.mean,
        evaluations_before=0 if before is None else before.evaluations,
        evaluations_after=0 if after is None else after.evaluations,
    )


def _gain(version: PromptVersionRecord) -> Gain | None:
    gate = _part(version.evidence, "gate")
    if gate is None or version.optimization_id is None or gate.get("difference") is None:
        return None
    return Gain.model_validate(
        {
            "optimization_id": version.optimization_id,
            "verdict": gate["verdict"],
            "queries": gate["queries"],
            "before": gate["baseline_reward"],
            "after": gate["candidate_reward"],
            **{name: gate[name] for name in ("difference", "low", "high")},
        }
    )


def _last_job(record: OptimizationRecord) -> LastJob:
    gate = _part(record.result, "gate")
    verdict = None if gate is None else gate.get("verdict")
    return LastJob(
        id=record.id,
        name=job_spec(record).name,
        status=record.status.value,
        verdict=verdict if isinstance(verdict, str) else None,
        created_at=record.created_at,
        finished_at=record.finished_at,
    )


def _part(found: Mapping[str, JsonValue] | None, name: str) -> JsonObject | None:
    part = None if found is None else found.get(name)
    return part if isinstance(part, dict) else None
