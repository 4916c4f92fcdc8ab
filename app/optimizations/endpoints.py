"""``/v1/optimizations``."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Response
from sse_starlette import EventSourceResponse

from app.auth import OptimizingPrincipal
from app.dependencies import CurrentResources
from app.jobs.event_stream import EVENTS, events_response
from app.jobs.idempotency import REPEATED, IdempotencyKey, show_made
from app.optimizations.allowed import ALLOWED_JOBS
from app.optimizations.forecast_schemas import Forecast
from app.optimizations.round_progress import RoundProgress
from app.optimizations.schemas import (
    CandidateList,
    CandidateObject,
    CreateOptimization,
    CriterionTable,
    EvaluationList,
    OptimizationObject,
    OptimizationPage,
)
from app.optimizations.service import OptimizationService
from app.optimizations.tree_schemas import SearchTree
from store.records.optimizations import JobKind, OptimizationStatus
from store.repositories.search_tree import EvaluationFilter

OfRound = Annotated[int | None, Query(alias="round", ge=-(2**31), lt=2**31, description="Only this round's")]
Phase = Annotated[Literal["search", "held_out"] | None, Query(description="Only this phase's")]
Limit = Annotated[int, Query(ge=1, le=1000)]


async def _wanted(
    candidate_id: str | None = None,
    query_id: str | None = None,
    phase: Phase = None,
    round_: OfRound = None,
    unscored: Annotated[bool | None, Query(description="Only those without a score, or with one")] = None,
) -> EvaluationFilter:
    return EvaluationFilter(
        candidate_id=candidate_id, query_id=query_id, phase=phase, round_=round_, unscored=unscored
    )


router = APIRouter(prefix="/v1/optimizations", tags=["optimizations"], dependencies=[ALLOWED_JOBS])


@router.post("", status_code=202, responses=REPEATED)
async def create_optimization(
    request: CreateOptimization,
    resources: CurrentResources,
    principal: OptimizingPrincipal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> OptimizationObject:
    """Queue a job."""
    principal.check_target(request.target, resources.models.target_names())
    made = await OptimizationService(resources).create(request, idempotency_key, may_see=principal.may_ask)
    return show_made(made, response)


@router.post("/estimate")
async def estimate_optimization(
    request: CreateOptimization, resources: CurrentResources, principal: OptimizingPrincipal
) -> Forecast:
    """What a job would take: calls, tokens, money and time as ranges; it is checked, and nothing is made."""
    principal.check_target(request.target, resources.models.target_names())
    return await OptimizationService(resources).estimate(request)


@router.get("")
async def list_optimizations(
    resources: CurrentResources,
    principal: OptimizingPrincipal,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    status: OptimizationStatus | None = None,
) -> OptimizationPage:
    """Jobs for the models that the key may ask, newest first."""
    data, has_more = await OptimizationService(resources).page(
        after=after, limit=limit, status=status, targets=principal.models
    )
    return OptimizationPage(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=has_more,
    )


@router.get("/{optimization_id}")
async def get_optimization(
    optimization_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> OptimizationObject:
    """One job with its progress, its best prompt so far, its spend and what is left."""
    return await OptimizationService(resources).get(optimization_id)


@router.get("/{optimization_id}/candidates")
async def list_candidates(
    optimization_id: str,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    round_: OfRound = None,
    after: Annotated[str | None, Query(description="The id of the last one already seen")] = None,
    limit: Limit = 1000,
) -> CandidateList:
    """The search tree, in the order of its rounds, with who was dropped when and why."""
    return await OptimizationService(resources).candidates(
        optimization_id, round_=round_, after=after, limit=limit
    )


@router.get("/{optimization_id}/candidates/{candidate_id}")
async def get_candidate(
    optimization_id: str, candidate_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> CandidateObject:
    """One candidate with its prompt, and what became of it."""
    return await OptimizationService(resources).candidate(optimization_id, candidate_id)


@router.get("/{optimization_id}/tree")
async def get_tree(
    optimization_id: str,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    limit: Annotated[
        int, Query(ge=0, le=1000, description="Candidates at most, their ancestors not counted")
    ] = 400,
    skip: Annotated[int, Query(ge=0, lt=2**31, description="So many of the best are left out")] = 0,
    candidate_id: Annotated[list[str] | None, Query(max_length=100, description="Shown in any case")] = None,
) -> SearchTree:
    """The search at a glance as of one of its events: the best candidates without texts, rounds, the gate."""
    return await OptimizationService(resources).tree(
        optimization_id, limit=limit, skip=skip, wanted=candidate_id or ()
    )


@router.get("/{optimization_id}/evaluations")
async def list_evaluations(
    optimization_id: str,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    wanted: Annotated[EvaluationFilter, Depends(_wanted)],
    after: Annotated[str | None, Query(description="The id of the last one already seen")] = None,
    limit: Limit = 1000,
) -> EvaluationList:
    """Rollouts with scores, reasons and provenance, by round: of all candidates or of one."""
    return await OptimizationService(resources).evaluations(optimization_id, wanted, after=after, limit=limit)


@router.get("/{optimization_id}/criteria")
async def list_criteria(
    optimization_id: str,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    phase: Phase = None,
    columns: Annotated[
        int | None, Query(ge=1, le=1000, description="Rounds are taken together to so many")
    ] = None,
) -> CriterionTable:
    """The mean of each criterion in each round, over all candidates."""
    return await OptimizationService(resources).criteria(optimization_id, phase=phase, columns=columns)


@router.get("/{optimization_id}/events", response_class=EventSourceResponse, responses=EVENTS)
async def follow_events(
    optimization_id: str,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    last_event_id: Annotated[int, Header(ge=0, le=2**63 - 1)] = 0,
) -> EventSourceResponse:
    """The job's events as SSE; ``Last-Event-ID`` names the last one already seen.

    ``round_finished`` says in ``progress`` how far the job was then, and how long the rest was to take.
    """
    await resources.optimizations.get(optimization_id, kind=JobKind.PROMPT)
    told = RoundProgress(resources.tree).tell
    return events_response(resources.feeds, optimization_id, last_event_id, told)
