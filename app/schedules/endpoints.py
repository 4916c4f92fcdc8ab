"""``/v1/schedules``."""

from fastapi import APIRouter, Depends

from app.allowed_models import AllowedModels
from app.auth import OptimizingPrincipal
from app.dependencies import CurrentResources
from app.resources import Resources
from app.schedules.schemas import (
    ChangeSchedule,
    CreateSchedule,
    DeletedSchedule,
    RunList,
    ScheduleList,
    ScheduleObject,
)
from app.schedules.service import ScheduleService
from store.errors import NotFoundError


async def _target_of(resources: Resources, schedule_id: str) -> str:
    return await ScheduleService(resources).target_of(schedule_id)


def _unknown(schedule_id: str) -> NotFoundError:
    return NotFoundError(f"there is no schedule {schedule_id}")


_ALLOWED = AllowedModels("schedule_id", _target_of, _unknown)

router = APIRouter(prefix="/v1/schedules", tags=["schedules"], dependencies=[Depends(_ALLOWED)])


@router.post("", status_code=201)
async def create_schedule(
    request: CreateSchedule, resources: CurrentResources, principal: OptimizingPrincipal
) -> ScheduleObject:
    """Have jobs made on a cron, or when requests fail more often than before."""
    principal.check_target(request.request.target, resources.models.target_names())
    return await ScheduleService(resources).create(request, actor=principal.name)


@router.get("")
async def list_schedules(resources: CurrentResources, principal: OptimizingPrincipal) -> ScheduleList:
    """The schedules of jobs for the models that the key may ask."""
    return ScheduleList(data=await ScheduleService(resources).all(principal.may_ask))


@router.get("/{schedule_id}")
async def get_schedule(
    schedule_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> ScheduleObject:
    """One schedule."""
    return await ScheduleService(resources).get(schedule_id)


@router.patch("/{schedule_id}")
async def change_schedule(
    schedule_id: str, change: ChangeSchedule, resources: CurrentResources, principal: OptimizingPrincipal
) -> ScheduleObject:
    """Change a schedule, or switch it on or off."""
    service, targets = ScheduleService(resources), resources.models.target_names()
    if change.request is not None:
        principal.check_target(change.request.target, targets)
    elif change.enabled is not False:  # a target that is configured no more may be switched off
        principal.check_model(await service.target_of(schedule_id), targets)
    return await service.change(schedule_id, change)


@router.delete("/{schedule_id}")
async def delete_schedule(
    schedule_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> DeletedSchedule:
    """Delete a schedule; the jobs that it has made stay."""
    await ScheduleService(resources).delete(schedule_id)
    return DeletedSchedule(id=schedule_id)


@router.get("/{schedule_id}/runs")
async def list_runs(schedule_id: str, resources: CurrentResources, _: OptimizingPrincipal) -> RunList:
    """What has come of the times at which it was due."""
    return RunList(data=await ScheduleService(resources).runs(schedule_id))
