"""From a request for plain completions to the call that it becomes."""

import dataclasses
from dataclasses import dataclass

from app.answer_ids import TEXT_PREFIX, new_token
from app.chat.answers import AnswerReader, SameShape
from app.chat.base_models import completions_body
from app.chat.calls import PreparedCall
from app.chat.detours import prepared
from app.chat.schemas import AlignmentOptions, ChatRequest
from app.chat.service import ChatService
from app.chat.usage import ask_for_usage
from app.completions.reading import CompletionsRequest
from app.errors import invalid_request
from app.llm.routing.routes import Route
from app.outcomes import Ticket
from app.serving_settings import TargetSettings
from optimizer.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionsService:
    """Answers requests for plain completions; ``chat`` knows models and their prompts."""

    chat: ChatService

    async def prepare(self, request: CompletionsRequest) -> PreparedCall:
        """The call that answers ``request``.

        Raises:
            ApiError: 404 for an unknown model, version or label; 400 for what cannot be aligned.
            StoreUnavailableError: the database is down, and memory does not know the answer.
        """
        target = self.chat.target(request.model)
        version_id = found_by = None
        ticket = Ticket(token=new_token())
        body: JsonObject = {**request.body, "model": target.model}
        if request.options is not None:
            asked = _as_chat(request, request.options, target)
            choice = await self.chat.choice(asked, target)
            ticket, alignment = dataclasses.replace(ticket, drawn=choice.drawn), choice.alignment
            if alignment is not None:
                body = completions_body(asked, alignment, model=target.model)
                if request.body.get("logprobs") is not None:  # chat has them in another form, this has not
                    body["logprobs"] = request.body["logprobs"]
                version_id, found_by = alignment.prompt.version.id, alignment.found_by
        models = self.chat.models

        async def write(route: Route, *, may_ask: bool) -> PreparedCall:  # noqa: ARG001 - nothing to ask
            sent = {**body, "model": route.model}
            hides_usage = request.stream and ask_for_usage(sent, can=models.known_capabilities(route))
            return PreparedCall(
                upstream=route.upstream,
                path="completions",
                body=sent,
                reader=AnswerReader(
                    model=request.model,
                    backend=route.backend,
                    shape=SameShape(),
                    answer_id=f"{TEXT_PREFIX}{ticket.token.hex()}",
                    hides_usage=hides_usage,
                ),
                model=request.model,
                backend=route.backend,
                upstream_model=route.model,
                streamed=request.stream,
                version_id=version_id,
                found_by=found_by,
                ticket=ticket,
            )

        return await prepared(models.routes(request.model), write)


def _as_chat(request: CompletionsRequest, options: AlignmentOptions, target: TargetSettings) -> ChatRequest:
    """The text as the one question of a conversation, which is how a base model's prompt was tuned."""
    if target.api != "completions":
        raise invalid_request(
            f"{request.model} is a chat model, whose prompts are no plain text: ask "
            "/v1/chat/completions, or leave alignment out",
            param="model",
        )
    prompt = request.body.get("prompt")
    texts = prompt if isinstance(prompt, list) else [prompt]
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise invalid_request("only one text can be aligned: make prompt a text", param="prompt")
    for name in ("echo", "suffix"):
        if request.body.get(name):
            raise invalid_request(f"an aligned completion knows no {name}", param=name)
    turn: JsonObject = {"role": "user", "content": texts[0]}
    return ChatRequest(
        model=request.model,
        messages=(turn,),
        stream=request.stream,
        options=options,
        body={name: value for name, value in request.body.items() if name != "logprobs"},
    )
