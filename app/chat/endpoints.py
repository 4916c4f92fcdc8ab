"""``POST /v1/chat/completions``, as OpenAI's clients know it."""

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.auth import ServingPrincipal
from app.chat.delivery import CLIENT_LEFT, AnswerRecord, Arrival, whole_answer
from app.chat.openapi import DOCUMENTATION, RESPONSES
from app.chat.reading import read_request
from app.chat.service import ChatService
from app.chat.streaming import StreamedAnswer
from app.dependencies import CurrentResources
from optimizer.rendering import CallerSystem

router = APIRouter(tags=["chat"])


@router.post(
    "/v1/chat/completions",
    summary="Create a chat completion",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=DOCUMENTATION,
)
async def create_chat_completion(
    request: Request, resources: CurrentResources, principal: ServingPrincipal
) -> Response:
    """Answer as the model, aligned by its labelled prompt version.

    The body is read once and only where alignment needs it; all other fields go to the backend as they are.
    """
    arrival = Arrival.of(request, principal)
    try:
        content = await request.body()
    except ClientDisconnect:
        return Response(status_code=CLIENT_LEFT)
    asked = read_request(content, request.headers)
    principal.check_model(asked.model, resources.models.target_names())
    chat = resources.settings.chat
    service = ChatService(
        models=resources.models,
        labelled=resources.labelled,
        caller_system=CallerSystem(chat.caller_system),
    )
    call = await service.prepare(asked)
    record = AnswerRecord(call, arrival, resources.outcomes, streamed=asked.stream)
    if asked.stream:
        return StreamedAnswer(call, record, keep_alive_seconds=chat.keep_alive_seconds)
    return await whole_answer(request, call, record)
