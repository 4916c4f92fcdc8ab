"""What all endpoints for models do: read, prepare, send, answer."""

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.access.principal import Principal
from app.chat.calls import PreparedCall
from app.chat.delivery import CLIENT_LEFT, AnswerRecord, Arrival, whole_answer
from app.chat.service import ChatService
from app.chat.streaming import StreamedAnswer
from app.resources import Resources
from optimizer.rendering import CallerSystem


async def answer(
    request: Request,
    resources: Resources,
    principal: Principal,
    prepare: Callable[[bytes], Awaitable[PreparedCall]],
) -> Response:
    """The answer to ``request``, from the call that ``prepare`` makes of its body.

    Raises:
        ApiError: the request cannot be used.
        ModelError: there is no answer.
    """
    arrival = Arrival.of(request, principal)
    try:
        content = await request.body()
    except ClientDisconnect:
        return Response(status_code=CLIENT_LEFT)
    call = await prepare(content)
    record = AnswerRecord(call, arrival, resources.outcomes)
    if call.streamed:
        return StreamedAnswer(call, record, keep_alive_seconds=resources.settings.chat.keep_alive_seconds)
    return await whole_answer(request, call, record)


def chat_service(resources: Resources, principal: Principal) -> ChatService:
    """The service that prepares chat requests of ``principal``, on ``resources``."""
    return ChatService(
        models=resources.models,
        labelled=resources.labelled,
        principal=principal,
        caller_system=CallerSystem(resources.settings.chat.caller_system),
    )
