"""The path of a chat request: its prompt version, its alignment, and the call that it becomes."""

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.access.principal import Principal
from app.chat.alignment import Alignment, align
from app.chat.answers import AnswerReader, Reader
from app.chat.calls import PreparedCall
from app.chat.detours import prepared
from app.chat.policy import policy_of
from app.chat.prompt_choice import PromptChoice, labelled_version
from app.chat.route_calls import ChatCalls, as_chat
from app.chat.schemas import ChatRequest
from app.errors import invalid_request
from app.labelled_prompts import LabelledPrompts
from app.llm.registry import ModelRegistry
from app.serving_settings import TargetSettings
from optimizer.rendering import CallerSystem
from optimizer.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatService:
    """Answers chat requests.

    Attributes:
        models: the configured models.
        labelled: which prompt version serves a model.
        principal: who asks.
        enter: lets a request in by the caller's limits, before anything is looked up for it.
        caller_system: the policy for requests that name none.
    """

    models: ModelRegistry
    labelled: LabelledPrompts
    principal: Principal
    enter: Callable[[str, JsonObject], Awaitable[None]]
    caller_system: CallerSystem

    async def prepare(
        self,
        request: ChatRequest,
        *,
        reader: Callable[[AnswerReader], Reader] = as_chat,
        tells_usage: bool = False,
        names_limit: bool = False,
    ) -> PreparedCall:
        """Find the version and align the request. The database is not used any more afterwards.

        Args:
            request: the caller's.
            reader: makes of what reads chat completions what writes them as another API has them.
            tells_usage: whether that API always ends a stream with token counts: the backend is asked for
                them unless it is known to give none.
            names_limit: whether the answer's limit has to be called what the model calls it.

        Raises:
            ApiError: 404 for an unknown model, version or label; 400 for a version of another model, or for
                what a base model cannot do.
            StoreUnavailableError: the database is down, and memory does not know the answer.
            ModelError: the model had to be asked what it can do, and did not answer.
        """
        request = await self.with_model(request)
        self.target(request.model)
        calls = ChatCalls(
            models=self.models,
            request=request,
            alignment=await self.alignment(request),
            reader=reader,
            tells_usage=tells_usage,
            names_limit=names_limit,
        )
        return await prepared(self.models.routes(request.model), calls.write)

    def target(self, model: str) -> TargetSettings:
        """The target called ``model``.

        Raises:
            ApiError: 404, there is none that the caller may ask.
        """
        self.principal.check_model(model, self.models.target_names())
        return self.models.target(model)

    async def alignment(self, request: ChatRequest) -> Alignment | None:
        """What aligns a request for a configured model; None where nothing does.

        Raises:
            ApiError: 404 for an unknown version or label; 400 for a version of another model, or where the
                texts for a prompt's variables are not those that it needs; 429, a rate or a quota is
                exceeded.
            StoreUnavailableError: the database is down, and memory does not know the answer.
        """
        policy = policy_of(
            request.options,
            self.target(request.model).alignment,
            default=self.caller_system,
            prompt=request.prompt,
        )
        if not policy.align:
            return None
        await self.enter(request.model, request.body)
        if request.prompt is not None:
            prompt = await self._choice().by_reference(request.model, request.prompt)
            return await align(prompt, policy, request.messages, request.prompt.variables)
        found = await labelled_version(self.labelled, request.model, policy, self.principal.may_ask)
        return None if found is None else await align(found, policy, request.messages)

    def _choice(self) -> PromptChoice:
        allowed = tuple(name for name in self.models.target_names() if self.principal.may_ask(name))
        return PromptChoice(labelled=self.labelled, models=allowed, may_ask=self.principal.may_ask)

    async def with_model(self, request: ChatRequest) -> ChatRequest:
        """``request`` with its model, which the stored prompt that it names may have to say.

        Raises:
            ApiError: 404, there is no such prompt; 400, nothing says which model.
            StoreUnavailableError: the database is down, and memory does not know the answer.
        """
        if request.model:
            return request
        if request.prompt is None:
            raise invalid_request("model is missing; see GET /v1/models", param="model")
        prompt = await self._choice().by_reference("", request.prompt)
        return dataclasses.replace(request, model=prompt.version.model)
