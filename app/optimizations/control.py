"""Jobs that are there: stopped, resumed, changed, deleted, and others that come of them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from app.jobs.idempotency import Shown
from app.jobs.readers import jobs_that_read
from app.jobs.schemas import ChangeJob
from app.jobs.spec import JobSpec
from app.optimizations.clones import cloned_request
from app.optimizations.creation import build_spec, check_prices
from app.optimizations.replays import build_replay
from app.optimizations.restarts import build_restart
from app.optimizations.schemas import OptimizationObject, ReplayOptimization, RestartOptimization
from app.optimizations.service import OptimizationService
from app.resources import Resources
from optimizer.errors import InvalidInputError
from optimizer.types import JsonObject
from store.records.optimizations import JobKind, JobTerms, OptimizationRecord

CheckTarget: TypeAlias = Callable[[str], None]
"""Refuses a target that the caller may not ask."""


class OptimizationControl:
    """What the endpoints do, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """Control over the jobs in ``resources``."""
        self._resources = resources
        self._control = resources.control(JobKind.PROMPT)
        self._service = OptimizationService(resources)

    async def pause(self, optimization_id: str) -> OptimizationObject:
        """Ask for a pause; see ``JobControl.pause``."""
        return await self._service.show(await self._control.pause(optimization_id))

    async def resume(self, optimization_id: str) -> OptimizationObject:
        """Go on; see ``JobControl.resume``."""
        return await self._service.show(await self._control.resume(optimization_id))

    async def cancel(self, optimization_id: str) -> OptimizationObject:
        """Ask for the end; see ``JobControl.cancel``."""
        return await self._service.show(await self._control.cancel(optimization_id))

    async def change(self, optimization_id: str, change: ChangeJob) -> OptimizationObject:
        """Change limits or priority; see ``JobControl.change``.

        Raises:
            InvalidInputError: the job is a replay, which spends nothing; or no backend has a price.
        """
        if change.budget is not None:
            source = await self._source(optimization_id)
            spec = JobSpec.from_json(source.spec)
            if spec.replay is not None:
                raise InvalidInputError(f"{source.id} is a replay, which spends nothing", param="budget")
            if change.budget.cost is not None:
                check_prices(source.target, spec.rewards, self._resources)
        return await self._service.show(
            await self._control.change(optimization_id, change.budget, change.priority)
        )

    async def delete(self, optimization_id: str, *, actor: str) -> None:
        """Delete a job that has ended; see ``JobControl.delete``."""
        readers = await jobs_that_read(self._resources.optimizations)
        used_by = readers.get(optimization_id, frozenset())
        await self._control.delete(optimization_id, used_by=used_by, actor=actor)

    async def replay(
        self,
        optimization_id: str,
        request: ReplayOptimization,
        key: str | None,
        *,
        may_see: Callable[[str], bool],
    ) -> Shown[OptimizationObject]:
        """Store a job that replays another one, unless an earlier request with the same ``key`` has done so.

        Raises:
            NotFoundError: there is no such job.
            InvalidInputError: the settings cannot work, or the job is a replay itself.
            ApiError: it has not ended, or its calls are gone; 422, the key was used for another request.
        """

        async def create(terms: JobTerms) -> OptimizationRecord:
            source = await self._source(optimization_id)
            spec = build_replay(source, request, await self._resources.spends.of(source.id))
            return await self._store(spec, source.target, terms)

        asked: JsonObject = {"replay": optimization_id, "body": request.model_dump(mode="json")}
        return await self._make(key, asked, create, may_see=may_see)

    async def restart(
        self,
        optimization_id: str,
        request: RestartOptimization,
        key: str | None,
        *,
        check: CheckTarget,
        may_see: Callable[[str], bool],
    ) -> Shown[OptimizationObject]:
        """Store a job that takes over the first rounds of another one, unless ``key`` has made it before.

        Raises:
            NotFoundError: there is no such job.
            InvalidInputError: it has not made so many rounds, or is a replay.
            ApiError: it has not ended, its calls are gone, or other models fill its roles now; the caller may
                not ask its target; 422, the key was used for another request.
        """

        async def create(terms: JobTerms) -> OptimizationRecord:
            source = await self._source(optimization_id)
            check(source.target)
            if request.budget is not None and request.budget.cost is not None:
                check_prices(source.target, JobSpec.from_json(source.spec).rewards, self._resources)
            terms = replace(terms, priority=request.priority, derived_from=source.id)
            spec = await build_restart(source, request, self._resources)
            return await self._store(spec, source.target, terms)

        asked: JsonObject = {"restart": optimization_id, "body": request.model_dump(mode="json")}
        return await self._make(key, asked, create, check=check, may_see=may_see)

    async def clone(
        self,
        optimization_id: str,
        changes: JsonObject,
        key: str | None,
        *,
        check: CheckTarget,
        may_see: Callable[[str], bool],
    ) -> Shown[OptimizationObject]:
        """Store a job like another one with ``changes``, unless ``key`` has made it before.

        Raises:
            NotFoundError: there is no such job.
            RequestValidationError: a field of ``changes`` is unknown or wrong.
            InvalidInputError: the job cannot work, or the caller may not ask its target.
            ApiError: 422, the key was used for another request.
        """

        async def create(terms: JobTerms) -> OptimizationRecord:
            request = cloned_request(await self._source(optimization_id), changes)
            check(request.target)
            terms = replace(terms, priority=request.priority, derived_from=optimization_id)
            return await self._store(await build_spec(request, self._resources), request.target, terms)

        asked: JsonObject = {"clone": optimization_id, "body": changes}
        return await self._make(key, asked, create, check=check, may_see=may_see)

    async def _make(
        self,
        key: str | None,
        asked: JsonObject,
        create: Callable[[JobTerms], Awaitable[OptimizationRecord]],
        *,
        check: CheckTarget | None = None,
        may_see: Callable[[str], bool],
    ) -> Shown[OptimizationObject]:
        """What was asked is all that names the request: a repetition needs no source, which may be gone."""
        made = await self._control.make(key, asked, create, terms=JobTerms(), may_see=may_see)
        if check is not None:
            check(made.record.target)
        return Shown(await self._service.show(made.record), repeated=made.repeated)

    async def _source(self, optimization_id: str) -> OptimizationRecord:
        return await self._resources.optimizations.get(optimization_id, kind=JobKind.PROMPT)

    async def _store(self, spec: JobSpec, target: str, terms: JobTerms) -> OptimizationRecord:
        terms = replace(terms, spec_version=spec.version)
        return await self._resources.optimizations.create(spec=spec.to_json(), target=target, terms=terms)
