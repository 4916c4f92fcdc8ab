"""How likely each version of a target makes an answer that is given: an evaluation without a judge."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from app.access.estimates import SizedRequest
from app.chat.prompt_choice import PromptChoice
from app.chat.schemas import PromptReference
from app.evaluations.charging import Asked, Charging
from app.evaluations.schemas import AnswerLikelihood, MeasureLikelihood, VersionLikelihood, used
from app.labelled_prompts import ServedPrompt
from app.llm.run_context import RunContext
from app.llm.text_scoring import ScoredText, TextScorer
from app.resources import Resources
from app.serving_settings import TargetSettings
from optimizer.budget import Budget, Limits
from optimizer.concurrency import run_together
from optimizer.errors import BackendUnavailableError, BudgetExceededError, ModelError
from optimizer.rendering import ExamplePlace, render_chat, render_text
from optimizer.types import Message, ModelRole

MOST_SECONDS: Final = 60.0
_SCOPE: Final = "likelihood"
_VERSION: Final = "pv_"

_Prompt: TypeAlias = Sequence[Message] | str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """One version: what its model is sent before the answer."""

    name: str | None
    version: str | None
    prompt: _Prompt

    @property
    def size(self) -> int:
        """Of what is sent, in bytes, about."""
        prompt = self.prompt
        texts = [prompt] if isinstance(prompt, str) else [message.text for message in prompt]
        return sum(len(text.encode()) for text in texts)


class LikelihoodService:
    """What the endpoint does, without HTTP."""

    def __init__(self, resources: Resources, asked: Asked) -> None:
        """A service for one request."""
        self._resources = resources
        self._models = resources.models
        self._asked = asked
        self._charging = Charging(resources, asked)

    async def measure(self, request: MeasureLikelihood) -> AnswerLikelihood:
        """How likely the answer of ``request`` is under each of its versions.

        Raises:
            ApiError: 404 for an unknown model, version or label; 429, a limit of the key is exceeded.
            InvalidInputError: the model's backend does not tell that.
            ModelError: no version could be measured, as the model does not answer.
        """
        self._asked.principal.check_model(request.model, self._models.target_names())
        name = self._models.model_name(ModelRole.TARGET, request.model)
        price = self._models.price(ModelRole.TARGET, request.model)
        count = len(request.versions)
        admission = await self._charging.admit(_sized(count, count * self._asked.size), price)
        async with self._charging.settled(admission, model=request.model, name=name):
            scorer = await self._scorer(request.model)
            prompts = [await self._prompt(request, version) for version in request.versions]
            size = sum(prompt.size + len(request.answer.encode()) for prompt in prompts)
            await admission.grow(_sized(count, max(size, count * self._asked.size)), price)
            found = await run_together(self._score(scorer, prompt, request.answer) for prompt in prompts)
            if all(isinstance(item, ModelError) for item in found):
                raise next(item for item in found if isinstance(item, ModelError))
            return AnswerLikelihood(
                model=request.model,
                data=[_shown(prompt, item) for prompt, item in zip(prompts, found, strict=True)],
                usage=used(self._charging.meter.spend),
                seconds=self._charging.seconds,
            )

    async def _scorer(self, model: str) -> TextScorer:
        budget = Budget(Limits(seconds=MOST_SECONDS), clock=time.monotonic)
        run = RunContext(scope=_SCOPE, budget=budget, meter=self._charging.meter, seed=0)
        run.serves = True
        try:
            async with asyncio.timeout(MOST_SECONDS):
                return await self._models.open_text_scorer(model, run)
        except TimeoutError:
            raise _too_slow(self._models.target(model).backend) from None

    async def _prompt(self, request: MeasureLikelihood, named: str | None) -> _Asked:
        """What the model is sent by a version, as it is when that version serves."""
        target = self._models.target(request.model)
        found = None if named is None else await self._version(request.model, named)
        asked = (Message(role="user", content=request.query),)
        prompt = await _rendered(target, found, asked, request.query)
        return _Asked(name=named, version=None if found is None else found.version.id, prompt=prompt)

    async def _version(self, model: str, named: str) -> ServedPrompt:
        principal = self._asked.principal
        choice = PromptChoice(
            labelled=self._resources.labelled,
            models=[name for name in self._models.target_names() if principal.may_ask(name)],
            may_ask=principal.may_ask,
        )
        is_id = named.startswith(_VERSION)
        reference = PromptReference(
            id=named if is_id else model, version=None if is_id else named, variables={}
        )
        return await choice.by_reference(model, reference)

    async def _score(self, scorer: TextScorer, asked: _Asked, answer: str) -> ScoredText | ModelError:
        try:
            async with asyncio.timeout(MOST_SECONDS - self._charging.seconds):
                return await scorer.score(asked.prompt, answer)
        except (TimeoutError, BudgetExceededError):
            return _too_slow(scorer.name.partition("/")[0])
        except ModelError as error:
            return error


async def _rendered(
    target: TargetSettings, found: ServedPrompt | None, asked: tuple[Message, ...], query: str
) -> _Prompt:
    render = render_text if target.api == "completions" else render_chat
    if found is None:
        return render("", (), asked)
    nearest = await found.nearest(query, target.alignment.k)
    place = ExamplePlace(target.alignment.examples)
    return render(found.version.system_prompt, nearest.examples, asked, place)


def _sized(versions: int, size: int) -> SizedRequest:
    """All calls as one request: each version writes a token."""
    return SizedRequest(body={"max_tokens": versions}, size=size)


def _too_slow(backend: str) -> ModelError:
    return BackendUnavailableError(f"it took longer than {MOST_SECONDS:g} s", backend=backend)


def _shown(asked: _Asked, found: ScoredText | ModelError) -> VersionLikelihood:
    if isinstance(found, ModelError):
        return VersionLikelihood(name=asked.name, version=asked.version, unscored_reason=str(found))
    return VersionLikelihood(
        name=asked.name,
        version=asked.version,
        tokens=len(found.tokens),
        logprob=found.logprob,
        mean_logprob=found.mean_logprob,
    )
