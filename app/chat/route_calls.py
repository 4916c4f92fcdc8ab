"""A chat request as the call that asks one of its model's routes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.access.estimates import SizedRequest, upper_bound
from app.answer_ids import CHAT_PREFIX
from app.chat.alignment import Alignment, chat_body
from app.chat.answers import AnswerReader, AnswerShape, Reader, SameShape
from app.chat.base_models import CompletionAnswers, completions_body
from app.chat.calls import PreparedCall, sendable
from app.chat.drafts import BestOf, DraftPlan, affordable
from app.chat.picking import JudgePicker, spoken
from app.chat.schemas import ChatRequest
from app.chat.usage import ask_for_usage
from app.llm.capabilities import Capabilities
from app.llm.registry import ModelRegistry
from app.llm.routing.routes import Route
from app.llm.wire import PATHS
from app.outcomes import Ticket
from app.serving_settings import BestOfSettings
from optimizer.quick_values import quick
from optimizer.types import JsonObject

_LIMIT: Final = "max_completion_tokens"
_ASSUMED_ANSWER: Final = 4096
"""Tokens that a draft without a limit counts as, when it is asked what all of them may cost."""


def as_chat(reader: AnswerReader) -> Reader:
    """Chat completions as they are."""
    return reader


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class ChatCalls:
    """Makes the calls of one request.

    Attributes:
        models: the configured models.
        request: the caller's; its model is known.
        alignment: what aligns it; None where nothing does.
        reader: makes of what reads chat completions what writes them as another API has them.
        tells_usage: whether that API always ends a stream with token counts: the backend is asked for them
            unless it is known to give none.
        ticket: what is known of the answer.
        names_limit: whether the limit of the answer has to be called what the model calls it.
        best_of: how its answer is chosen from several drafts; None where there is one.
    """

    models: ModelRegistry
    request: ChatRequest
    alignment: Alignment | None
    ticket: Ticket
    reader: Callable[[AnswerReader], Reader] = as_chat
    tells_usage: bool = False
    names_limit: bool = False
    best_of: BestOfSettings | None = None

    async def write(self, route: Route, *, may_ask: bool) -> PreparedCall:
        """The call that asks ``route``; see ``WriteCall``."""
        request, alignment = self.request, self.alignment
        shape, body = await self._body(route, may_ask=may_ask)
        drafts = await self._drafts(route, body, may_ask=may_ask)
        known = self.models.known_capabilities(route) or (Capabilities() if self.tells_usage else None)
        hides_usage = request.stream and (ask_for_usage(body, can=known) or self._hides_drafts_usage(drafts))
        answers = AnswerReader(
            model=request.model,
            backend=route.backend,
            shape=shape,
            answer_id=f"{CHAT_PREFIX}{self.ticket.token.hex()}",
            hides_usage=hides_usage,
        )
        return PreparedCall(
            upstream=drafts or route.upstream,
            path=PATHS[route.api],
            body=body,
            reader=self.reader(answers),
            model=request.model,
            backend=route.backend,
            upstream_model=route.model,
            streamed=request.stream,
            version_id=None if alignment is None else alignment.prompt.version.id,
            found_by=None if alignment is None else alignment.found_by,
            ticket=self.ticket,
            best_of=drafts,
        )

    def _hides_drafts_usage(self, drafts: BestOf | None) -> bool:
        """Whether a stream of a draft, which always has counts, ends without them, as its caller expects."""
        options = self.request.body.get("stream_options")
        return drafts is not None and not (isinstance(options, dict) and options.get("include_usage"))

    async def _drafts(self, route: Route, body: JsonObject, *, may_ask: bool) -> BestOf | None:
        """What asks ``route`` for several drafts, as ``body`` does from now on; None for a single one."""
        wanted = self.best_of
        if wanted is None:
            return None
        price = self.models.backend_price(route.backend)
        request = SizedRequest(body=body, size=len(sendable(body)))
        most = upper_bound(request, assumed_answer=_ASSUMED_ANSWER)
        count = affordable(wanted.drafts, draft_cost=price.spend(most).cost, max_cost=wanted.max_cost)
        if count == 1:
            return None
        can = await self.models.route_capabilities(route) if may_ask else Capabilities()
        if can.sampling and not body.get("temperature"):
            body["temperature"] = wanted.temperature
        body["n"] = count
        plan = DraftPlan(
            backend=route.backend,
            count=count,
            max_seconds=wanted.max_seconds,
            max_cost=wanted.max_cost,
            at_once=can.n,
            price=price,
            most=most,
        )
        return BestOf(
            route.upstream, JudgePicker(self.models), plan=plan, conversation=spoken(self.request.messages)
        )

    async def _body(self, route: Route, *, may_ask: bool) -> tuple[AnswerShape, JsonObject]:
        request, alignment = self.request, self.alignment
        names_limit = self.names_limit and _LIMIT in request.body
        if route.api == "completions":
            return CompletionAnswers(), completions_body(request, alignment, model=route.model)
        # An unaligned request is sent as it is: whether the backend takes it is between it and the caller.
        asks = may_ask and (alignment is not None or names_limit)
        can = await self.models.route_capabilities(route) if asks else Capabilities()
        body = chat_body(request, alignment, model=route.model, can=can)
        if names_limit:
            body[can.max_tokens_field] = body.pop(_LIMIT)
        return SameShape(), body
