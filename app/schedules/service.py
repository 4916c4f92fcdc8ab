"""Schedules: add, look at, change and delete them."""

from collections.abc import Callable
from dataclasses import asdict

from app.optimizations.creation import estimate_job
from app.optimizations.schemas import CreateOptimization
from app.resources import Resources
from app.schedules.schemas import ChangeSchedule, CreateSchedule, RunObject, ScheduleObject
from app.schedules.triggers import CronTrigger, DriftTrigger, read_trigger
from optimizer.types import JsonObject
from store.records.schedules import DueAt, ScheduleChange, ScheduleDraft, ScheduleRecord, ScheduleStatus
from store.repositories.schedules import ScheduleRepository


class ScheduleService:
    """What the endpoints do, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """A service on ``resources``."""
        self._resources = resources
        self._schedules = ScheduleRepository(resources.database)

    async def create(self, request: CreateSchedule, *, actor: str) -> ScheduleObject:
        """Add a schedule, if its job could be made now.

        Raises:
            InvalidInputError: it could not; the message says what to change.
            ConflictError: there are as many schedules as there may be.
        """
        await estimate_job(request.request, self._resources)
        record = await self._schedules.add(
            ScheduleDraft(
                name=request.name,
                request=_stored(request.request),
                trigger=request.trigger.model_dump(mode="json"),
                due_at=await self._first_due(request.trigger) if request.enabled else None,
                created_by=actor,
            )
        )
        return _show(record)

    async def all(self, may_see: Callable[[str], bool]) -> list[ScheduleObject]:
        """All schedules whose jobs are for models that the caller ``may_see``."""
        return [
            _show(record) for record in await self._schedules.all() if may_see(str(record.request["target"]))
        ]

    async def get(self, schedule_id: str) -> ScheduleObject:
        """One schedule.

        Raises:
            NotFoundError: there is none.
        """
        return _show(await self._schedules.get(schedule_id))

    async def target_of(self, schedule_id: str) -> str:
        """The model whose prompt a schedule's jobs search.

        Raises:
            NotFoundError: there is none.
        """
        return str((await self._schedules.get(schedule_id)).request["target"])

    async def change(self, schedule_id: str, change: ChangeSchedule) -> ScheduleObject:
        """Change a schedule. Its next time is reckoned anew where the trigger changes or it is switched on.

        Raises:
            NotFoundError: there is none.
            InvalidInputError: the new request could not be made into a job now.
        """
        await self._schedules.get(schedule_id)
        if change.request is not None:
            await estimate_job(change.request, self._resources)

        def decide(found: ScheduleRecord, now: float) -> ScheduleChange:
            return ScheduleChange(
                name=change.name,
                request=None if change.request is None else _stored(change.request),
                trigger=None if change.trigger is None else change.trigger.model_dump(mode="json"),
                due=_next_due(found, change, now),
            )

        return _show(await self._schedules.change(schedule_id, decide))

    async def delete(self, schedule_id: str) -> None:
        """Delete a schedule.

        Raises:
            NotFoundError: there is none.
        """
        await self._schedules.delete(schedule_id)

    async def runs(self, schedule_id: str) -> list[RunObject]:
        """What has come of a schedule, newest first.

        Raises:
            NotFoundError: there is none.
        """
        return [RunObject.model_validate(asdict(run)) for run in await self._schedules.runs(schedule_id)]

    async def _first_due(self, trigger: CronTrigger | DriftTrigger) -> float:
        return trigger.after(await self._schedules.now())


def _next_due(found: ScheduleRecord, change: ChangeSchedule, now: float) -> DueAt | None:
    """When the schedule is looked at next, where ``change`` says something about that."""
    was_on = found.status is ScheduleStatus.ON
    if not (was_on if change.enabled is None else change.enabled):
        return DueAt(at=None) if was_on else None
    if was_on and change.trigger is None:
        return None
    trigger = read_trigger(found.trigger) if change.trigger is None else change.trigger
    return DueAt(at=trigger.after(now))


def _stored(request: CreateOptimization) -> JsonObject:
    """What was given alone: defaults are those of the day on which a job is made."""
    given: JsonObject = request.model_dump(mode="json", exclude_unset=True)
    return given


def _show(record: ScheduleRecord) -> ScheduleObject:
    return ScheduleObject(
        id=record.id,
        name=record.name,
        enabled=record.status is ScheduleStatus.ON,
        request=record.request,
        trigger=read_trigger(record.trigger),
        next_at=record.due_at,
        last_job_id=record.last_job_id,
        last_started_at=record.last_started_at,
        note=record.note,
        created_by=record.created_by,
        created_at=record.created_at,
    )
