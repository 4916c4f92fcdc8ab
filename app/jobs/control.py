"""What people ask of jobs of any kind, and how a repeated request finds the job that it has made."""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

from app.errors import conflict, unprocessable
from app.jobs.limits import current_budget
from app.jobs.schemas import BudgetInput
from app.jobs.spec import BudgetSpec
from optimizer.errors import InvalidInputError
from optimizer.types import JsonObject
from store.errors import ConflictError
from store.json_values import content_hash
from store.records.optimizations import JobKind, JobTerms, OptimizationRecord
from store.repositories.call_retention import CallRetention
from store.repositories.job_deletion import JobDeletion
from store.repositories.optimizations import OptimizationRepository

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """The job of a request; ``repeated`` where an earlier request with the same key has made it."""

    record: OptimizationRecord
    repeated: bool


class JobControl:
    """Jobs of one kind."""

    def __init__(
        self,
        optimizations: OptimizationRepository,
        deletion: JobDeletion,
        retention: CallRetention,
        *,
        kind: JobKind,
    ) -> None:
        """Control over the jobs of ``kind`` in ``optimizations``."""
        self._optimizations = optimizations
        self._deletion = deletion
        self._retention = retention
        self._kind = kind

    async def make(
        self,
        key: str | None,
        request: JsonObject,
        create: Callable[[JobTerms], Awaitable[OptimizationRecord]],
        *,
        terms: JobTerms,
        may_see: Callable[[str], bool],
    ) -> Made:
        """The job that ``create`` makes, or that an earlier request with the same ``key`` has made.

        Args:
            key: the caller's name for the request; None for one that makes a job each time.
            request: all that makes it this request and no other.
            create: makes the job; it is told the terms with key and hash.
            terms: what else the job is made with.
            may_see: whether the caller may know of jobs for a target.

        Raises:
            ApiError: 422, the key was used for another request.
        """
        if key is None:
            return Made(record=await create(terms), repeated=False)
        sha = _hash(request)
        terms = replace(terms, idempotency_key=key, request_hash=sha)
        if (known := await self._known(key, sha, may_see)) is not None:
            return known
        try:
            return Made(record=await create(terms), repeated=False)
        except ConflictError:
            # the same request at the same time was faster
            if (known := await self._known(key, sha, may_see)) is not None:
                return known
            raise

    async def cancel(self, optimization_id: str) -> OptimizationRecord:
        """Ask for the end of a job; what it has done is kept.

        Raises:
            NotFoundError: there is none.
            JobStateError: it has succeeded or failed.
        """
        await self._optimizations.get(optimization_id, kind=self._kind)
        return await self._optimizations.request_cancel(optimization_id)

    async def pause(self, optimization_id: str) -> OptimizationRecord:
        """Ask for a pause.

        Raises:
            NotFoundError: there is none.
            JobStateError: it has ended or is about to be cancelled.
        """
        await self._optimizations.get(optimization_id, kind=self._kind)
        return await self._optimizations.request_pause(optimization_id)

    async def resume(self, optimization_id: str) -> OptimizationRecord:
        """Queue a paused job.

        Raises:
            NotFoundError: there is none.
            JobStateError: it is not paused.
        """
        await self._optimizations.get(optimization_id, kind=self._kind)
        return await self._optimizations.resume(optimization_id)

    async def change(
        self, optimization_id: str, budget: BudgetInput | None, priority: int | None
    ) -> OptimizationRecord:
        """Give a job other limits or another priority; a running one goes on under them.

        Limits that ``budget`` does not name stay; one that it names as null is no limit any more.

        Raises:
            NotFoundError: there is none.
            JobStateError: it has ended or is about to be cancelled.
        """
        limits = None if budget is None else partial(_merged, budget)
        await self._optimizations.get(optimization_id, kind=self._kind)
        return await self._optimizations.change(optimization_id, limits=limits, priority=priority)

    async def delete(self, optimization_id: str, *, used_by: Collection[str], actor: str) -> None:
        """Delete a job that has ended, with all that it has stored.

        Args:
            optimization_id: which one.
            used_by: jobs that have not ended and read its record.
            actor: who wants it, for the log.

        Raises:
            NotFoundError: there is none.
            JobStateError: it has not ended.
            ApiError: 409, another job reads its record.
        """
        await self._optimizations.get(optimization_id, kind=self._kind)
        if used_by:
            raise conflict(
                f"{optimization_id} cannot be deleted while {', '.join(sorted(used_by))} reads its record: "
                "wait for its end, or cancel it"
            )
        await self._deletion.delete(optimization_id)
        while await self._retention.delete_dropped():
            pass
        _LOGGER.info("%s was deleted by %s", optimization_id, actor)

    async def _known(self, key: str, sha: str, may_see: Callable[[str], bool]) -> Made | None:
        record = await self._optimizations.by_idempotency_key(key, kind=self._kind)
        if record is None:
            return None
        if record.request_hash != sha:
            which = f", which has made {record.id}" if may_see(record.target) else ""
            raise unprocessable(
                f"the idempotency key was used for another request{which}: send a new key with a new request",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )
        return Made(record=record, repeated=True)


def _hash(request: JsonObject) -> str:
    try:
        return content_hash(request)
    except ValueError:
        raise InvalidInputError("nan and inf are no numbers that can be used here") from None


def _merged(budget: BudgetInput, record: OptimizationRecord) -> JsonObject:
    made_with = record.spec["budget"]
    now = current_budget(BudgetSpec.from_json(made_with), record.limits)  # type: ignore[arg-type]
    stored: JsonObject = now.model_dump(mode="json") | budget.model_dump(mode="json", exclude_unset=True)
    return stored
