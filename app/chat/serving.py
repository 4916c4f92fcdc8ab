"""What all endpoints for models do: read, prepare, send, answer."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from app.access.principal import Principal
from app.chat.calls import PreparedCall
from app.chat.delivery import CLIENT_LEFT, AnswerRecord, Arrival, whole_answer
from app.chat.disconnects import ClientLeftError
from app.chat.entrance import Entrance
from app.chat.kept_answers import Keeping, keeping_of
from app.chat.sending import Sending
from app.chat.service import ChatService
from app.chat.streaming import StreamedAnswer
from app.middleware import exchange_of
from app.request_headers import headers_of
from app.resources import Resources
from app.telemetry.current import note_model_request, timed
from app.telemetry.timing import Part
from optimizer.rendering import CallerSystem


async def answer(
    request: Request,
    resources: Resources,
    principal: Principal,
    prepare: Callable[[bytes, Entrance], Awaitable[PreparedCall]],
) -> Response:
    """The answer to ``request``, from the call that ``prepare`` makes of its body.

    Raises:
        ApiError: the request cannot be used, or not now by this caller.
        ModelError: there is no answer.
        StoreUnavailableError: the caller's quota cannot be asked.
    """
    arrival = Arrival.of(request, principal)
    note_model_request()
    try:
        with timed(Part.CLIENT):
            content = await _body(request.receive)
    except ClientLeftError:
        return Response(status_code=CLIENT_LEFT)
    entrance = Entrance(resources, principal)
    entrance.size = len(content)
    call: PreparedCall | None = None
    try:
        call = await prepare(content, entrance)
        sent = call.content()
        admission = await entrance.let_in(call, size=len(sent))
    except BaseException:
        entrance.withdraw()
        if call is not None:
            call.abandon()
        raise
    added = exchange_of(request.scope).added
    added.update(admission.headers)
    keeping = _keeping(request, resources, principal, call)
    record = AnswerRecord(
        call, arrival, admission, resources.outcomes, price_of=resources.models.backend_price
    )
    sending = Sending(call, sent, record=record, headers=added, keeping=keeping)
    if call.streamed:
        keep_alive_seconds = resources.settings.chat.keep_alive_seconds
        return StreamedAnswer(sending, record, keep_alive_seconds=keep_alive_seconds)
    return await whole_answer(request, sending, record)


async def _body(receive: Receive) -> bytes:
    """The whole body of a request, which mostly has come in one piece.

    Raises:
        ClientLeftError: the client has gone before it was all sent.
    """
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _keeping(
    request: Request, resources: Resources, principal: Principal, call: PreparedCall
) -> Keeping | None:
    """The kept answers that the request may have."""
    if resources.kept_answers is None:
        return None
    settings = resources.settings
    model = settings.targets.get(call.model) or settings.embedders[call.model]
    if model.cache is None:
        return None
    return keeping_of(
        resources.kept_answers, model.cache, call, headers=headers_of(request.scope), caller=principal.name
    )


def chat_service(resources: Resources, principal: Principal, entrance: Entrance) -> ChatService:
    """The service that prepares a chat request of ``principal``, which comes through ``entrance``."""
    return ChatService(
        models=resources.models,
        labelled=resources.labelled,
        releases=resources.release_control.book,
        principal=principal,
        enter=entrance.enter,
        caller_system=CallerSystem(resources.settings.chat.caller_system),
        most_drafts=resources.settings.chat.most_drafts,
    )
