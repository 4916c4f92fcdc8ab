"""Jobs: create and look at them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from app.jobs.idempotency import Shown
from app.optimizations.creation import build_spec, estimate_job
from app.optimizations.forecast_schemas import Forecast
from app.optimizations.schemas import (
    CandidateList,
    CandidateObject,
    CreateOptimization,
    CriterionTable,
    EvaluationList,
    OptimizationObject,
)
from app.optimizations.tree_schemas import SearchTree
from app.optimizations.trees import TOLD, show_tree
from app.optimizations.views import (
    best_candidate,
    drop_keys,
    show_candidates,
    show_criterion,
    show_evaluation,
    show_optimization,
)
from app.resources import Resources
from optimizer.types import JsonObject
from store.errors import NotFoundError
from store.records.optimizations import JobKind, JobTerms, OptimizationRecord, OptimizationStatus
from store.records.progress import CandidateRecord
from store.repositories.criterion_means import CriterionMeansRepository
from store.repositories.search_outline import SearchOutlineRepository
from store.repositories.search_tree import EvaluationFilter

_MOST_KEYS = 5_000
"""Of events that are looked up one by one."""
_MOST_CELLS = 20_000
"""Of criteria in rounds that are shown."""


class OptimizationService:
    """What the endpoints do, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """A service on ``resources``."""
        self._resources = resources
        self._control = resources.control(JobKind.PROMPT)

    async def create(
        self, request: CreateOptimization, key: str | None, *, may_see: Callable[[str], bool]
    ) -> Shown[OptimizationObject]:
        """Store a job, unless an earlier request with the same ``key`` has done so.

        A refusal names that request's job only to a caller who ``may_see`` its target.

        Raises:
            InvalidInputError: the request cannot work.
            ApiError: 422, the key was used for another request.
        """

        async def create(terms: JobTerms) -> OptimizationRecord:
            spec = await build_spec(request, self._resources)
            return await self._resources.optimizations.create(
                spec=spec.to_json(),
                target=request.target,
                terms=replace(terms, spec_version=spec.version),
            )

        asked: JsonObject = request.model_dump(mode="json")
        terms = JobTerms(priority=request.priority)
        made = await self._control.make(key, {"create": asked}, create, terms=terms, may_see=may_see)
        return Shown(await self.show(made.record), repeated=made.repeated)

    async def estimate(self, request: CreateOptimization) -> Forecast:
        """What a job would take; it is checked as if it were made.

        Raises:
            InvalidInputError: the request cannot work.
        """
        return await estimate_job(request, self._resources)

    async def get(self, optimization_id: str) -> OptimizationObject:
        """One job.

        Raises:
            NotFoundError: there is none.
        """
        return await self.show(await self._resources.optimizations.get(optimization_id, kind=JobKind.PROMPT))

    async def page(
        self,
        *,
        after: str | None,
        limit: int,
        status: OptimizationStatus | None,
        targets: Collection[str] | None = None,
    ) -> tuple[list[OptimizationObject], bool]:
        """A page of jobs, of some ``targets`` or of all, newest first, and whether more follow."""
        records = await self._resources.optimizations.list(
            after=after, limit=limit + 1, status=status, kind=JobKind.PROMPT, targets=targets
        )
        return [await self.show(record) for record in records[:limit]], len(records) > limit

    async def candidates(
        self, optimization_id: str, *, round_: int | None, after: str | None, limit: int
    ) -> CandidateList:
        """A page of the search tree.

        Raises:
            NotFoundError: there is no such job, or no candidate ``after`` in it.
        """
        await self._resources.optimizations.get(optimization_id, kind=JobKind.PROMPT)
        found = await self._resources.tree.candidates(
            optimization_id, round_=round_, after=after, limit=limit + 1
        )
        data = await self._shown(optimization_id, found[:limit])
        first, last = _ends([item.id for item in data])
        return CandidateList(data=data, first_id=first, last_id=last, has_more=len(found) > limit)

    async def candidate(self, optimization_id: str, candidate_id: str) -> CandidateObject:
        """One node of the search tree.

        Raises:
            NotFoundError: there is no such job, or no such candidate in it.
        """
        await self._resources.optimizations.get(optimization_id, kind=JobKind.PROMPT)
        found = await self._resources.tree.candidate(optimization_id, candidate_id)
        if found is None:
            raise NotFoundError(f"{optimization_id} has no candidate {candidate_id}")
        (shown,) = await self._shown(optimization_id, [found])
        return shown

    async def tree(
        self, optimization_id: str, *, limit: int, skip: int, wanted: Collection[str]
    ) -> SearchTree:
        """The search at a glance; see ``show_tree``.

        Raises:
            NotFoundError: there is no such job.
        """
        record = await self._resources.optimizations.get(optimization_id, kind=JobKind.PROMPT)
        outlines = SearchOutlineRepository(self._resources.database)
        outline = await outlines.read(optimization_id, keys=TOLD)
        return show_tree(record, outline, limit=limit, skip=skip, wanted=wanted)

    async def evaluations(
        self, optimization_id: str, wanted: EvaluationFilter, *, after: str | None, limit: int
    ) -> EvaluationList:
        """A page of the rollouts with their scores.

        Raises:
            NotFoundError: there is no such job, or no evaluation ``after`` in it.
        """
        await self._resources.optimizations.get(optimization_id, kind=JobKind.PROMPT)
        found = await self._resources.tree.evaluations(optimization_id, wanted, after=after, limit=limit + 1)
        data = [show_evaluation(record) for record in found[:limit]]
        first, last = _ends([item.id for item in data])
        return EvaluationList(data=data, first_id=first, last_id=last, has_more=len(found) > limit)

    async def criteria(
        self, optimization_id: str, *, phase: str | None, columns: int | None
    ) -> CriterionTable:
        """How the answers of each round did on each criterion; ``columns`` as in the repository.

        Raises:
            NotFoundError: there is no such job.
        """
        await self._resources.optimizations.get(optimization_id, kind=JobKind.PROMPT)
        means = CriterionMeansRepository(self._resources.database)
        found = await means.by_round(optimization_id, phase=phase, columns=columns, limit=_MOST_CELLS)
        return CriterionTable(data=[show_criterion(cell) for cell in found])

    async def _shown(
        self, optimization_id: str, candidates: Sequence[CandidateRecord]
    ) -> list[CandidateObject]:
        tree = self._resources.tree
        rounds = await tree.rounds(optimization_id)
        keys = drop_keys(candidates, rounds)
        if len(keys) <= _MOST_KEYS:
            told = await tree.announced(optimization_id, keys)
            drops = {str(told[key]["candidate_id"]): told[key] for key in keys if key in told}
        else:  # all of them are fewer than the places where those of many candidates might be
            drops = await tree.drops(optimization_id)
        scores = await tree.scores(optimization_id, [item.id for item in candidates])
        return show_candidates(candidates, rounds, scores, drops)

    async def show(self, record: OptimizationRecord) -> OptimizationObject:
        """The job as the API shows it."""
        tree = self._resources.tree
        rounds = await tree.rounds(record.id)
        best_id = best_candidate(record, rounds)
        return show_optimization(
            record,
            rounds,
            await tree.counts(record.id),
            None if best_id is None else await tree.candidate(record.id, best_id),
            await self._resources.spends.of(record.id),
        )


def _ends(ids: list[str]) -> tuple[str, str] | tuple[None, None]:
    return (ids[0], ids[-1]) if ids else (None, None)
