"""The tick: any process that runs jobs looks for schedules that are due; one of them settles each."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from app.background import BackgroundLoop
from app.jobs.spec import JobSpec
from app.optimizations.creation import DEFAULT_LABEL, build_spec, stored_request
from app.optimizations.schemas import CreateOptimization
from app.resources import Resources
from app.schedules.drift import CountedFailures, FailureMeasure, look_for_drift
from app.schedules.triggers import CronTrigger, DriftTrigger, read_trigger
from optimizer.errors import DrpoError
from store.connections import Session
from store.errors import ConflictError, StoreUnavailableError
from store.records.optimizations import JobTerms
from store.records.schedules import RunOutcome, ScheduleRecord
from store.repositories.schedules import ScheduleRepository
from store.repositories.traffic import TrafficRepository

_LOGGER = logging.getLogger(__name__)
_TICK_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """Whether a job is called for, and what says so."""

    go: bool
    reason: str | None = None


class Scheduler:
    """Makes the jobs of schedules."""

    def __init__(
        self,
        resources: Resources,
        *,
        measure: FailureMeasure | None = None,
    ) -> None:
        """A scheduler on ``resources``.

        Args:
            resources: where schedules are, and jobs are made.
            measure: of failures; by default those that are counted.
        """
        self._resources = resources
        self._schedules = ScheduleRepository(resources.database)
        self._measure = measure or CountedFailures(TrafficRepository(resources.database))

    async def tick(self) -> int:
        """Settle what is due.

        Returns:
            How many jobs were made.
        """
        made = 0
        for schedule in await self._schedules.due():
            try:
                made += await self._settle(schedule)
            except StoreUnavailableError:
                raise
            except Exception:
                # one schedule that trips over a bug must not keep all others from their jobs
                _LOGGER.exception("schedule %s could not be settled; trying again", schedule.id)
        return made

    async def _settle(self, schedule: ScheduleRecord) -> bool:
        """Settle one time; times that were missed meanwhile are not made up for."""
        trigger = read_trigger(schedule.trigger)
        now = await self._schedules.now()
        settle = partial(self._schedules.settle, schedule, next_due=trigger.after(now))
        try:
            found = await self._found(schedule, trigger, now)
            if not found.go:
                await settle(outcome=None, reason=found.reason)
                return False
            running = await self._schedules.unfinished_job(schedule)
            if running is not None:
                await settle(outcome=RunOutcome.SKIPPED, reason=f"{running} has not ended")
                return False
            if not await self._schedules.is_due(schedule):
                return False  # before queries are stored for a job that another process has made
            request = stored_request(schedule.request)
            spec = await build_spec(request, self._resources)
            make = partial(self._make, schedule, request, spec)
            return await settle(outcome=RunOutcome.STARTED, reason=found.reason, make=make)
        except StoreUnavailableError:
            raise
        except (DrpoError, ValidationError, ConflictError) as error:
            _LOGGER.warning("schedule %s made no job: %s", schedule.id, error)
            await settle(outcome=RunOutcome.FAILED, reason=str(error)[:1000])
            return False

    async def _make(
        self, schedule: ScheduleRecord, request: CreateOptimization, spec: JobSpec, session: Session
    ) -> str:
        terms = JobTerms(
            priority=request.priority,
            idempotency_key=f"schedule:{schedule.id}:{schedule.due_at}",
            schedule_id=schedule.id,
            spec_version=spec.version,
        )
        record = await self._resources.optimizations.create(
            spec=spec.to_json(), target=request.target, terms=terms, session=session
        )
        return record.id

    async def _found(
        self, schedule: ScheduleRecord, trigger: CronTrigger | DriftTrigger, now: float
    ) -> "_Found":
        """Whether a job is called for."""
        if isinstance(trigger, CronTrigger):
            return _Found(go=True)
        if schedule.last_started_at is not None and now - schedule.last_started_at < trigger.cooldown_seconds:
            return _Found(go=False, reason="its last job was made too short a time ago")
        request = stored_request(schedule.request)
        served = await self._resources.prompts.labelled(request.target, request.label or DEFAULT_LABEL)
        version_id = None if served is None else served.id
        verdict = await look_for_drift(trigger, self._measure, request.target, version_id)
        return _Found(go=verdict.drifted, reason=verdict.reason)


@asynccontextmanager
async def scheduled(resources: Resources) -> AsyncIterator[None]:
    """Make the jobs of schedules while the block runs, in a process that also works on jobs."""
    if resources.settings.jobs.max_running == 0:
        yield
        return
    async with BackgroundLoop("scheduler", Scheduler(resources).tick, every_seconds=_TICK_SECONDS):
        yield
