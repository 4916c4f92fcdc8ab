"""``/v1/example-banks``."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from sse_starlette import EventSourceResponse

from app.auth import OptimizingPrincipal
from app.dependencies import CurrentResources
from app.example_banks.schemas import AnswerList, CreateExampleBank, ExampleBankObject, ExampleBankPage
from app.example_banks.service import ExampleBankService
from app.jobs.event_stream import EVENTS, events_response
from app.jobs.idempotency import REPEATED, IdempotencyKey, show_made
from app.jobs.schemas import ChangeJob, DeletedJob
from store.records.optimizations import JobKind, OptimizationStatus

router = APIRouter(prefix="/v1/example-banks", tags=["example banks"])


@router.post("", status_code=202, responses=REPEATED)
async def create_example_bank(
    request: CreateExampleBank,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ExampleBankObject:
    """Store a bank of in-context examples, and queue a job that makes its answers better."""
    return show_made(await ExampleBankService(resources).create(request, idempotency_key), response)


@router.get("")
async def list_example_banks(
    resources: CurrentResources,
    _: OptimizingPrincipal,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    status: OptimizationStatus | None = None,
) -> ExampleBankPage:
    """Banks, newest first, without their examples."""
    data, has_more = await ExampleBankService(resources).page(after=after, limit=limit, status=status)
    return ExampleBankPage(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=has_more,
    )


@router.get("/{bank_id}")
async def get_example_bank(
    bank_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> ExampleBankObject:
    """One bank: its job's progress and spend, and each example's reward before and after."""
    return await ExampleBankService(resources).get(bank_id)


@router.get("/{bank_id}/answers")
async def list_answers(
    bank_id: str, resources: CurrentResources, _: OptimizingPrincipal, example_id: str | None = None
) -> AnswerList:
    """The answers that were tried, with scores, reasons and provenance."""
    return AnswerList(data=await ExampleBankService(resources).answers(bank_id, example_id=example_id))


@router.get("/{bank_id}/events", response_class=EventSourceResponse, responses=EVENTS)
async def follow_events(
    bank_id: str,
    resources: CurrentResources,
    _: OptimizingPrincipal,
    last_event_id: Annotated[int, Header(ge=0, le=2**63 - 1)] = 0,
) -> EventSourceResponse:
    """The job's events as SSE; ``Last-Event-ID`` names the last one already seen."""
    await resources.optimizations.get(bank_id, kind=JobKind.EXAMPLE_BANK)
    return events_response(resources.feeds, bank_id, last_event_id)


@router.post("/{bank_id}/pause")
async def pause_example_bank(
    bank_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> ExampleBankObject:
    """Pause the job: a waiting one at once, a running one within a second. What it has done is kept."""
    return await ExampleBankService(resources).pause(bank_id)


@router.post("/{bank_id}/resume")
async def resume_example_bank(
    bank_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> ExampleBankObject:
    """Go on with a paused job; no finished call is made again."""
    return await ExampleBankService(resources).resume(bank_id)


@router.patch("/{bank_id}")
async def change_example_bank(
    bank_id: str, change: ChangeJob, resources: CurrentResources, _: OptimizingPrincipal
) -> ExampleBankObject:
    """Change the budget or the priority of a job that has not ended; a running one goes on under them."""
    return await ExampleBankService(resources).change(bank_id, change)


@router.delete("/{bank_id}")
async def delete_example_bank(
    bank_id: str, resources: CurrentResources, principal: OptimizingPrincipal
) -> DeletedJob:
    """Delete a job that has ended with all that it has tried; the finished bank stays, by its own id."""
    await ExampleBankService(resources).delete(bank_id, actor=principal.name)
    return DeletedJob(id=bank_id)


@router.post("/{bank_id}/cancel")
async def cancel_example_bank(
    bank_id: str, resources: CurrentResources, _: OptimizingPrincipal
) -> ExampleBankObject:
    """Ask for the end of the job; everything it has done is kept."""
    return await ExampleBankService(resources).cancel(bank_id)
