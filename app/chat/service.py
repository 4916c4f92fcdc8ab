"""The path of a chat request: its prompt version, its alignment, and the call that it becomes."""

from dataclasses import dataclass

from app.chat.alignment import Alignment, align, chat_body
from app.chat.answers import AnswerReader, AnswerShape, SameShape
from app.chat.base_models import CompletionAnswers, completions_body
from app.chat.calls import PreparedCall
from app.chat.schemas import AlignmentOptions, ChatRequest
from app.chat.usage import ask_for_usage
from app.errors import invalid_request, not_found
from app.labelled_prompts import PRODUCTION, LabelledPrompts, ServedPrompt
from app.llm.capabilities import Capabilities
from app.llm.registry import ModelRegistry
from app.llm.wire import PATHS
from app.settings import TargetSettings
from optimizer.errors import InvalidInputError
from optimizer.rendering import CallerSystem
from optimizer.types import ModelRole
from store.errors import NotFoundError


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatService:
    """Answers chat requests.

    Attributes:
        models: the configured models.
        labelled: which prompt version serves a model.
        caller_system: the policy for requests that name none.
    """

    models: ModelRegistry
    labelled: LabelledPrompts
    caller_system: CallerSystem

    async def prepare(self, request: ChatRequest) -> PreparedCall:
        """Find the version and align the request. The database is not used any more afterwards.

        Raises:
            ApiError: 404 for an unknown model, version or label; 400 for a version of another model, or for
                what a base model cannot do.
            StoreUnavailableError: the database is down, and memory does not know the answer.
            ModelError: the model had to be asked what it can do, and did not answer.
        """
        target = self._target(request.model)
        prompt = await self._prompt(request.model, request.options)
        alignment = None
        if prompt is not None:
            policy = request.options.caller_system or self.caller_system
            alignment = await align(prompt, CallerSystem(policy), request.messages)
        shape: AnswerShape = SameShape()
        if target.api == "completions":
            shape = CompletionAnswers()
            body = completions_body(request, alignment, model=target.model)
        else:
            can = await self._capabilities(request.model, alignment)
            body = chat_body(request, alignment, model=target.model, can=can)
        hides_usage = request.stream and ask_for_usage(
            body, can=self.models.known_capabilities(request.model)
        )
        return PreparedCall(
            upstream=self.models.passthrough(request.model),
            path=PATHS[target.api],
            body=body,
            reader=AnswerReader(
                model=request.model, backend=target.backend, shape=shape, hides_usage=hides_usage
            ),
            model=request.model,
            backend=target.backend,
            upstream_model=target.model,
            version_id=None if prompt is None else prompt.version.id,
            found_by=None if alignment is None else alignment.found_by,
        )

    def _target(self, model: str) -> TargetSettings:
        try:
            return self.models.target(model)
        except InvalidInputError as error:
            raise not_found(str(error), param="model", code="model_not_found") from None

    async def _prompt(self, model: str, options: AlignmentOptions) -> ServedPrompt | None:
        if not options.align:
            return None
        if options.prompt_version is not None:
            return await self._pinned(model, options.prompt_version)
        found = await self.labelled.current(model, options.label or PRODUCTION)
        if found is None and options.label is not None:
            raise not_found(
                f"{model} has no label {options.label!r}: see GET /v1/prompts/{model}/versions",
                param="drpo.label",
                code="label_not_found",
            )
        return found

    async def _pinned(self, model: str, version_id: str) -> ServedPrompt:
        param = "drpo.prompt_version"
        try:
            prompt = await self.labelled.version(version_id)
        except NotFoundError as error:
            raise not_found(str(error), param=param, code="prompt_version_not_found") from None
        if prompt.version.model != model:
            raise invalid_request(
                f"{version_id} is a version of {prompt.version.model}, not of {model}", param=param
            )
        return prompt

    async def _capabilities(self, model: str, alignment: Alignment | None) -> Capabilities:
        # An unaligned request is sent as it is: whether the backend takes it is between it and the caller.
        if alignment is None:
            return Capabilities()
        return await self.models.capabilities(ModelRole.TARGET, model)
