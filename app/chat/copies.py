"""A copy of a request for the shadow of a release: asked once, compared by numbers, and thrown away."""

import dataclasses
import math
import time
from collections.abc import Awaitable
from typing import Final, Protocol

from app.access.estimates import tokens_in
from app.chat.calls import PreparedCall
from app.chat.schemas import ChatRequest
from app.errors import answer_to
from app.llm.prices import Price
from app.llm.registry import ModelRegistry
from app.outcomes import SHADOW_ENDPOINT, Outcome
from app.release_control.plan import SHADOW_ARM, Plan, ShadowArm
from optimizer.errors import ModelError
from optimizer.types import Usage
from store.records.releases import DrawnArm

_MICROS: Final = 1_000_000
_LEFT_OUT: Final = ("stream", "stream_options", "n", "best_of")


class Prepare(Protocol):
    """Makes a call of a request."""

    def __call__(self, request: ChatRequest, /) -> Awaitable[PreparedCall]:
        """The call; see ``ChatService.prepare``."""
        ...


async def send_copy(
    prepare: Prepare, models: ModelRegistry, request: ChatRequest, plan: Plan, shadow: ShadowArm
) -> Outcome:
    """Ask the shadow of ``plan`` the same: for one whole answer, which is counted and thrown away.

    Raises:
        ApiError: the version cannot be used any more.
        ModelError: the model had to be asked what it can do, and did not answer.
    """
    body = {name: value for name, value in request.body.items() if name not in _LEFT_OUT}
    options = request.options.model_copy(
        update={"prompt_version": shadow.version_id, "label": None, "best_of": 1}
    )
    call = await prepare(dataclasses.replace(request, stream=False, body=body, options=options))
    began, size = time.monotonic(), 0
    error: ModelError | None = None
    try:
        response = await call.upstream.send(call.content(), call.path)
        size = len(response.body)
        call.reader.whole(response.body)
        if call.detours is not None:
            call.detours.answered()
    except ModelError as failure:
        error = failure
    finally:
        if call.detours is not None:
            call.detours.close()
    price = models.backend_price(call.backend)
    drawn = DrawnArm(arm=SHADOW_ARM, propensity=shadow.policy.share, stretch=plan.stretch)
    return _outcome(call, price, drawn, error=error, size=size, seconds=time.monotonic() - began)


def _outcome(
    call: PreparedCall, price: Price, drawn: DrawnArm, *, error: ModelError | None, size: int, seconds: float
) -> Outcome:
    told = None if error is None else answer_to(error)
    usage = call.reader.usage or Usage(completion_tokens=tokens_in(size))
    ticket = None if call.ticket is None else dataclasses.replace(call.ticket, drawn=drawn)
    return Outcome(
        request_id=SHADOW_ENDPOINT,
        caller=SHADOW_ENDPOINT,
        endpoint=SHADOW_ENDPOINT,
        model=call.model,
        backend=call.backend,
        upstream_model=call.reader.told_model or call.upstream_model,
        version_id=call.version_id,
        streamed=False,
        ending="answered" if error is None else "failed",
        error_code=None if told is None else told.code,
        usage=call.reader.usage,
        key_number=0,
        counted=usage,
        estimated=call.reader.usage is None,
        micros=math.ceil(price.spend(usage).cost * _MICROS),
        finish_reason=call.reader.finish_reason,
        first_seconds=None,
        seconds=seconds,
        ticket=ticket,
    )
