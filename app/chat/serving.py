"""What all endpoints for models do: read, prepare, send, answer."""

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.access.admission import Admission
from app.access.estimates import SizedRequest
from app.access.principal import Principal
from app.chat.calls import PreparedCall
from app.chat.delivery import CLIENT_LEFT, AnswerRecord, Arrival, whole_answer
from app.chat.kept_answers import Keeping, keeping_of
from app.chat.sending import Sending
from app.chat.service import ChatService
from app.chat.streaming import StreamedAnswer
from app.middleware import ANSWER_HEADERS
from app.resources import Resources
from app.telemetry.current import note_model_request, timed
from app.telemetry.timing import Part
from optimizer.rendering import CallerSystem


async def answer(
    request: Request,
    resources: Resources,
    principal: Principal,
    prepare: Callable[[bytes], Awaitable[PreparedCall]],
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
            content = await request.body()
    except ClientDisconnect:
        return Response(status_code=CLIENT_LEFT)
    call = await prepare(content)
    try:
        sent = call.content()
        admission = await _admitted(resources, principal, call, size=len(sent))
    except BaseException:
        call.abandon()
        raise
    added = request.scope["state"][ANSWER_HEADERS]
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
        resources.kept_answers, model.cache, call, headers=request.headers, caller=principal.name
    )


async def _admitted(
    resources: Resources, principal: Principal, call: PreparedCall, *, size: int
) -> Admission:
    """Let ``call`` in by the limits of whoever makes it: the model is that which is really asked."""
    models = resources.models
    principal.check_model(call.model, (*models.target_names(), *models.embedder_names()))
    request = SizedRequest(body=call.body, size=size, generates=call.path != "embeddings")
    with timed(Part.STORE):
        return await resources.access.desk.admit(principal, request, models.backend_price(call.backend))


def chat_service(resources: Resources, principal: Principal) -> ChatService:
    """The service that prepares chat requests of ``principal``, on ``resources``."""
    return ChatService(
        models=resources.models,
        labelled=resources.labelled,
        principal=principal,
        caller_system=CallerSystem(resources.settings.chat.caller_system),
    )
