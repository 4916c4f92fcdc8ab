"""``POST /v1/chat/completions``, as OpenAI's clients know it."""

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.auth import CurrentPrincipal
from app.chat.disconnects import ClientLeftError, while_client_listens
from app.chat.openapi import DOCUMENTATION, RESPONSES
from app.chat.reading import read_request
from app.chat.service import ChatCall, ChatService
from app.chat.streaming import StreamedAnswer
from app.dependencies import CurrentResources
from optimizer.rendering import CallerSystem

router = APIRouter(tags=["chat"])

_CLIENT_LEFT = 499  # nobody reads it: the connection is closed


@router.post(
    "/v1/chat/completions",
    summary="Create a chat completion",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=DOCUMENTATION,
)
async def create_chat_completion(
    request: Request, resources: CurrentResources, _: CurrentPrincipal
) -> Response:
    """Answer as the model, aligned by its labelled prompt version.

    The body is read once and only where alignment needs it; all other fields go to the backend as they are.
    """
    try:
        content = await request.body()
    except ClientDisconnect:
        return Response(status_code=_CLIENT_LEFT)
    asked = read_request(content, request.headers)
    service = ChatService(
        models=resources.models,
        labelled=resources.labelled,
        caller_system=CallerSystem(resources.settings.chat.caller_system),
    )
    call = await service.prepare(asked)
    if asked.stream:
        return StreamedAnswer(call)
    try:
        return await while_client_listens(request.receive, _whole_answer(call))
    except ClientLeftError:
        return Response(status_code=_CLIENT_LEFT)


async def _whole_answer(call: ChatCall) -> Response:
    response = await call.upstream.send(call.body, call.path)
    answer = call.reader.whole(response.body)
    return Response(answer, headers=call.headers(), media_type="application/json")
