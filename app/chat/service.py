"""The path of a chat request: its prompt version, its alignment, and the call that it becomes."""

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from app.access.principal import Principal
from app.answer_ids import new_token
from app.chat.alignment import align
from app.chat.answers import AnswerReader, Reader
from app.chat.calls import PreparedCall
from app.chat.choice import Choice, sticky_key
from app.chat.copies import send_copy
from app.chat.detours import prepared
from app.chat.policy import best_of, policy_of
from app.chat.prompt_choice import PromptChoice, labelled_version
from app.chat.route_calls import ChatCalls, as_chat
from app.chat.schemas import ChatRequest
from app.errors import invalid_request
from app.labelled_prompts import LabelledPrompts
from app.llm.registry import ModelRegistry
from app.outcomes import Outcome
from app.release_control.book import ReleaseBook
from app.release_control.plan import Plan, ShadowArm
from app.serving_settings import TargetSettings
from optimizer.quick_values import quick
from optimizer.rendering import CallerSystem
from optimizer.types import JsonObject


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class ChatService:
    """Answers chat requests.

    Attributes:
        models: the configured models.
        labelled: which prompt version serves a model.
        releases: which of its versions a model's requests are split between.
        principal: who asks.
        enter: lets a request in by the caller's limits, before anything is looked up for it.
        caller_system: the policy for requests that name none.
        most_drafts: drafts that a request may ask for.
    """

    models: ModelRegistry
    labelled: LabelledPrompts
    releases: ReleaseBook
    principal: Principal
    enter: Callable[[str, JsonObject], Awaitable[None]]
    caller_system: CallerSystem
    most_drafts: int

    async def prepare(
        self,
        request: ChatRequest,
        *,
        reader: Callable[[AnswerReader], Reader] = as_chat,
        tells_usage: bool = False,
        names_limit: bool = False,
        token: bytes | None = None,
    ) -> PreparedCall:
        """Find the version and align the request. The database is not used any more afterwards.

        Args:
            request: the caller's.
            reader: makes of what reads chat completions what writes them as another API has them.
            tells_usage: whether that API always ends a stream with token counts: the backend is asked for
                them unless it is known to give none.
            names_limit: whether the answer's limit has to be called what the model calls it.
            token: what the answer's id is made of; by default a new one.

        Raises:
            ApiError: 404 for an unknown model, version or label; 400 for a version of another model, or for
                what a base model cannot do.
            StoreUnavailableError: the database is down, and memory does not know the answer.
            ModelError: the model had to be asked what it can do, and did not answer.
        """
        request = await self.with_model(request)
        target = self.target(request.model)
        drafts = best_of(request.options, target.alignment, body=request.body, most_drafts=self.most_drafts)
        choice = await self.choice(request, target)
        calls = ChatCalls(
            models=self.models,
            request=request,
            alignment=choice.alignment,
            ticket=choice.ticket(token or new_token(), partial(self._copy_of, request), self.releases.chance),
            reader=reader,
            tells_usage=tells_usage,
            names_limit=names_limit,
            best_of=drafts,
        )
        return await prepared(self.models.routes(request.model), calls.write)

    def target(self, model: str) -> TargetSettings:
        """The target called ``model``.

        Raises:
            ApiError: 404, there is none that the caller may ask.
        """
        self.principal.check_model(model, self.models.target_names())
        return self.models.target(model)

    async def choice(self, request: ChatRequest, target: TargetSettings) -> Choice:
        """What aligns a request for ``target``, and what has chosen that.

        Raises:
            ApiError: 404 for an unknown version or label; 400 for a version of another model, or where the
                texts for a prompt's variables are not those that it needs; 429, a rate or a quota is
                exceeded; 503, labels are too old.
            StoreUnavailableError: the database is down, and memory does not know the answer.
        """
        policy = policy_of(
            request.options,
            target.alignment,
            default=self.caller_system,
            prompt=request.prompt,
        )
        if not policy.align:
            return Choice()
        await self.enter(request.model, request.body)
        if request.prompt is not None:
            prompt = await self._choice().by_reference(request.model, request.prompt)
            return Choice(alignment=await align(prompt, policy, request.messages, request.prompt.variables))
        plan = self.releases.plan(request.model) if policy.is_open else None
        if plan is None:
            found, drawn = (
                await labelled_version(self.labelled, request.model, policy, self.principal.may_ask),
                None,
            )
        else:
            key = sticky_key(request, plan.policy.sticky, self.principal)
            arm, drawn = plan.draw(key, self.releases.chance)
            found = None if arm.version_id is None else await self.labelled.version(arm.version_id)
        alignment = None if found is None else await align(found, policy, request.messages)
        return Choice(alignment=alignment, plan=plan, drawn=drawn)

    def _copy_of(self, request: ChatRequest, plan: Plan, shadow: ShadowArm) -> Awaitable[Outcome]:
        unlimited = dataclasses.replace(self, enter=_let_in)  # nobody's quota pays for a copy
        return send_copy(unlimited.prepare, self.models, request, plan, shadow)

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


async def _let_in(_model: str, _body: JsonObject) -> None:
    pass
