"""What people ask of an optimization that is there: stop, go on, change, and jobs that come of it."""

from functools import partial

from fastapi import APIRouter, Response

from app.auth import OptimizingPrincipal
from app.dependencies import CurrentResources
from app.jobs.idempotency import REPEATED, IdempotencyKey, show_made
from app.jobs.schemas import ChangeJob, DeletedJob
from app.optimizations.allowed import ALLOWED_JOBS
from app.optimizations.control import OptimizationControl
from app.optimizations.schemas import OptimizationObject, ReplayOptimization, RestartOptimization
from optimizer.types import JsonObject

router = APIRouter(
    prefix="/v1/optimizations/{optimization_id}", tags=["optimizations"], dependencies=[ALLOWED_JOBS]
)


@router.post("/pause")
async def pause_optimization(
    optimization_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> OptimizationObject:
    """Pause a job: a waiting one at once, a running one within a second. Everything it has done is kept."""
    return await OptimizationControl(resources).pause(optimization_id)


@router.post("/resume")
async def resume_optimization(
    optimization_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> OptimizationObject:
    """Go on with a paused job; no finished call is made again."""
    return await OptimizationControl(resources).resume(optimization_id)


@router.post("/cancel")
async def cancel_optimization(
    optimization_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> OptimizationObject:
    """Ask for the end of a job; everything it has done is kept."""
    return await OptimizationControl(resources).cancel(optimization_id)


@router.patch("")
async def change_optimization(
    optimization_id: str, change: ChangeJob, resources: CurrentResources, _: OptimizingPrincipal
) -> OptimizationObject:
    """Change the budget or the priority of a job that has not ended; a running one goes on under them."""
    return await OptimizationControl(resources).change(optimization_id, change)


@router.delete("")
async def delete_optimization(
    optimization_id: str, resources: CurrentResources, principal: OptimizingPrincipal
) -> DeletedJob:
    """Delete a job that has ended with all that it has stored; prompt versions that came of it stay."""
    await OptimizationControl(resources).delete(optimization_id, actor=principal.name)
    return DeletedJob(id=optimization_id)


@router.post("/replay", status_code=202, responses=REPEATED)
async def replay_optimization(
    optimization_id: str,
    request: ReplayOptimization,
    resources: CurrentResources,
    principal: OptimizingPrincipal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> OptimizationObject:
    """Queue a replay of a job that has ended, under its settings or others, from its recorded calls alone."""
    control = OptimizationControl(resources)
    made = await control.replay(optimization_id, request, idempotency_key, may_see=principal.may_ask)
    return show_made(made, response)


@router.post("/restart", status_code=202, responses=REPEATED)
async def restart_optimization(
    optimization_id: str,
    request: RestartOptimization,
    resources: CurrentResources,
    principal: OptimizingPrincipal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> OptimizationObject:
    """Queue a job that takes over the rounds of an ended one before ``from_round`` and goes on anew."""
    check = partial(principal.check_model, targets=resources.models.target_names())
    control = OptimizationControl(resources)
    made = await control.restart(
        optimization_id, request, idempotency_key, check=check, may_see=principal.may_ask
    )
    return show_made(made, response)


@router.post("/clone", status_code=202, responses=REPEATED)
async def clone_optimization(
    optimization_id: str,
    changes: JsonObject,
    resources: CurrentResources,
    principal: OptimizingPrincipal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> OptimizationObject:
    """Queue a new job like this one; the body holds the fields of a create request that differ.

    ``settings`` and ``budget`` are put on top of the old ones, everything else takes their place. No call is
    taken from the old job.
    """
    check = partial(principal.check_target, targets=resources.models.target_names())
    control = OptimizationControl(resources)
    made = await control.clone(
        optimization_id, changes, idempotency_key, check=check, may_see=principal.may_ask
    )
    return show_made(made, response)
