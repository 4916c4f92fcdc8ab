"""Judging answers on demand: as in searches, for whoever waits, charged to the caller's key."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from app.access.admission import Admission
from app.access.estimates import SizedRequest
from app.access.principal import Principal
from app.errors import answer_to
from app.evaluations.criteria import ChosenCriteria, chosen_criteria
from app.evaluations.schemas import (
    AnswerEvaluation,
    CriterionVerdict,
    EvaluateAnswers,
    JudgedAnswer,
    JudgingUse,
)
from app.llm.metering import Meter
from app.llm.run_context import RunContext
from app.outcomes import Ending, Outcome
from app.resources import Resources
from optimizer.budget import Budget, Limits
from optimizer.concurrency import run_together
from optimizer.config import PRESETS
from optimizer.errors import BackendUnavailableError, BudgetExceededError, InvalidInputError, ModelError
from optimizer.seeds import content_seed
from optimizer.types import Completion, ModelRole, Query, Score, Scored, Unscored, Usage
from rewards.catalog import packaged_catalog
from rewards.judge import Judge
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector
from rewards.types import QuerySelector

MOST_SECONDS: Final = 60.0
_SCOPE: Final = "evaluation"
_TEMPLATE_BYTES: Final = 10_000
"""What judge and selector are told beside query and answer, on the large side."""
_CONFIG: Final = PRESETS["default"]
_NOTHING: Final = Usage(prompt_tokens=0, completion_tokens=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request for verdicts.

    Attributes:
        principal / request_id / endpoint: who asks, and what it is called.
        size: of its body, in bytes.
        headers: takes what the answer says about the caller's rates.
    """

    principal: Principal
    request_id: str
    endpoint: str
    size: int
    headers: dict[str, str]


class EvaluationService:
    """What the endpoint does, without HTTP."""

    def __init__(self, resources: Resources, asked: Asked) -> None:
        """A service for one request."""
        self._resources = resources
        self._models = resources.models
        self._asked = asked
        self._meter = Meter()
        self._began = time.monotonic()

    async def judge(self, request: EvaluateAnswers) -> AnswerEvaluation:
        """The verdicts on the answers of ``request``.

        Raises:
            InvalidInputError: there is no such judge or criterion.
            ApiError: 429, a rate or a quota of the key is exceeded.
            ModelError: no answer could be judged, as the judge or the selector does not answer.
        """
        self._check_judge(request.judge)
        chosen = None if request.criteria is None else chosen_criteria(request.criteria)
        name = self._models.model_name(ModelRole.JUDGE, judge=request.judge)
        admission = await self._admit(request)
        ending: Ending = "client_left"
        error: BaseException | None = None
        try:
            selector = None if chosen is None else ChosenCriteria(chosen)
            found = await self._judged(request, selector, name)
        except Exception as failure:
            ending, error = "failed", failure
            raise
        else:
            ending = "answered"
            return found
        finally:
            self._settle(admission, name, request.judge, ending, error)

    def _check_judge(self, judge: str | None) -> None:
        known = self._models.judge_names()
        if judge is not None and judge not in known:
            named = ", ".join(known) or "none"
            raise InvalidInputError(f"there is no judge {judge!r}: there are {named}", param="judge")

    async def _admit(self, request: EvaluateAnswers) -> Admission:
        calls = len(request.answers) + (request.criteria is None)
        most = max(_CONFIG.judge.max_tokens, _CONFIG.selector.max_tokens)
        size = calls * (self._asked.size + _TEMPLATE_BYTES)
        sized = SizedRequest(body={"max_tokens": calls * most}, size=size)
        price = self._models.price(ModelRole.JUDGE, judge=request.judge)
        admission = await self._resources.access.desk.admit(self._asked.principal, sized, price)
        self._asked.headers.update(admission.headers)
        return admission

    async def _judged(
        self, request: EvaluateAnswers, selector: QuerySelector | None, name: str
    ) -> AnswerEvaluation:
        query = Query(id=_SCOPE, text=request.query)
        try:
            async with asyncio.timeout(MOST_SECONDS):
                scorer = await self._scorer(request.judge, selector)
                selection = await scorer.selection(query)
        except TimeoutError:
            raise _too_slow() from None
        found = await run_together(
            self._score(scorer, query, text) for text in dict.fromkeys(request.answers)
        )
        if all(isinstance(item, ModelError) for item in found):
            raise next(item for item in found if isinstance(item, ModelError))
        by_text = dict(zip(dict.fromkeys(request.answers), found, strict=True))
        spend = self._meter.spend
        return AnswerEvaluation(
            judge=name,
            criteria=[item.name for item in selection.criteria],
            selection_rationale=selection.rationale,
            data=[_shown(place, by_text[text]) for place, text in enumerate(request.answers)],
            usage=JudgingUse(
                calls=spend.calls,
                prompt_tokens=spend.prompt_tokens,
                completion_tokens=spend.completion_tokens,
                cost=spend.cost,
            ),
            seconds=time.monotonic() - self._began,
        )

    async def _scorer(self, judge: str | None, selector: QuerySelector | None) -> DynamicRewardScorer:
        budget = Budget(Limits(seconds=MOST_SECONDS), clock=time.monotonic)
        run = RunContext(scope=_SCOPE, budget=budget, meter=self._meter, seed=0)
        run.serves = True
        if selector is None:
            selector = Selector(
                await self._models.open_role(ModelRole.SELECTOR, None, run),
                catalog=packaged_catalog(),
                sampling=_CONFIG.selector.to_sampling(),
            )
        model = await self._models.open_role(ModelRole.JUDGE, None, run, judge=judge)
        return DynamicRewardScorer(selector, Judge(model, sampling=_CONFIG.judge.to_sampling()), seed=0)

    async def _score(self, scorer: DynamicRewardScorer, query: Query, text: str) -> Score | ModelError:
        left = MOST_SECONDS - (time.monotonic() - self._began)
        try:
            async with asyncio.timeout(left):
                return await scorer.score(query, Completion(text=text), seed=content_seed(0, _SCOPE, text))
        except (TimeoutError, BudgetExceededError):
            return Unscored(reason=f"judging took longer than {MOST_SECONDS:g} s")
        except ModelError as error:
            return error

    def _settle(
        self,
        admission: Admission,
        name: str,
        judge: str | None,
        ending: Ending,
        error: BaseException | None,
    ) -> None:
        """Charge the key with what selector and judge have used, and announce how it ended."""
        spend = self._meter.spend
        # each model has its own price, so that what was used is all beside the request, which is one
        charge = admission.settle(ending, _NOTHING, error=error, seen_tokens=0, beside=spend)
        backend, _, upstream = name.partition("/")
        told = answer_to(error) if isinstance(error, Exception) else None
        asked = self._asked
        self._resources.outcomes.announce(
            Outcome(
                request_id=asked.request_id,
                caller=asked.principal.name,
                endpoint=asked.endpoint,
                model=judge or ModelRole.JUDGE.value,
                backend=backend,
                upstream_model=upstream,
                version_id=None,
                streamed=False,
                ending=ending,
                error_code=None if told is None else told.code,
                usage=charge.usage,
                key_number=admission.key_number,
                counted=charge.usage,
                estimated=charge.estimated,
                micros=charge.micros,
                finish_reason=None,
                first_seconds=None,
                seconds=time.monotonic() - self._began,
                attempts=spend.calls,
            )
        )


def _too_slow() -> ModelError:
    return BackendUnavailableError(
        f"choosing criteria took longer than {MOST_SECONDS:g} s", backend="selector"
    )


def _shown(place: int, score: Score | ModelError) -> JudgedAnswer:
    if isinstance(score, Scored):
        return JudgedAnswer(
            index=place,
            reward=score.reward,
            unscored_reason=None,
            criteria=[
                CriterionVerdict(criterion=item.criterion, score=item.score, rationale=item.rationale)
                for item in score.criteria
            ],
        )
    reason = score.reason if isinstance(score, Unscored) else str(score)
    return JudgedAnswer(index=place, reward=None, unscored_reason=reason, criteria=[])
