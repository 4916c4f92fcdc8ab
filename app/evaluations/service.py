"""Judging answers on demand: as in searches, for whoever waits, charged to the caller's key."""

import asyncio
import time
from typing import Final

from app.access.admission import Admission
from app.access.estimates import SizedRequest
from app.evaluations.charging import Asked, Charging
from app.evaluations.criteria import ChosenCriteria, chosen_criteria
from app.evaluations.schemas import (
    AnswerEvaluation,
    CriterionVerdict,
    EvaluateAnswers,
    JudgedAnswer,
    used,
)
from app.llm.run_context import RunContext
from app.resources import Resources
from optimizer.budget import Budget, Limits
from optimizer.concurrency import run_together
from optimizer.config import PRESETS
from optimizer.errors import BackendUnavailableError, BudgetExceededError, InvalidInputError, ModelError
from optimizer.seeds import content_seed
from optimizer.types import Completion, ModelRole, Query, Score, Scored, Unscored
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


class EvaluationService:
    """What the endpoint does, without HTTP."""

    def __init__(self, resources: Resources, asked: Asked) -> None:
        """A service for one request."""
        self._models = resources.models
        self._asked = asked
        self._charging = Charging(resources, asked)

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
        model = request.judge or ModelRole.JUDGE.value
        async with self._charging.settled(admission, model=model, name=name):
            selector = None if chosen is None else ChosenCriteria(chosen)
            return await self._judged(request, selector, name)

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
        return await self._charging.admit(sized, price)

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
        spend = self._charging.meter.spend
        return AnswerEvaluation(
            judge=name,
            criteria=[item.name for item in selection.criteria],
            selection_rationale=selection.rationale,
            data=[_shown(place, by_text[text]) for place, text in enumerate(request.answers)],
            usage=used(spend),
            seconds=self._charging.seconds,
        )

    async def _scorer(self, judge: str | None, selector: QuerySelector | None) -> DynamicRewardScorer:
        budget = Budget(Limits(seconds=MOST_SECONDS), clock=time.monotonic)
        run = RunContext(scope=_SCOPE, budget=budget, meter=self._charging.meter, seed=0)
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
        left = MOST_SECONDS - self._charging.seconds
        try:
            async with asyncio.timeout(left):
                return await scorer.score(query, Completion(text=text), seed=content_seed(0, _SCOPE, text))
        except (TimeoutError, BudgetExceededError):
            return Unscored(reason=f"judging took longer than {MOST_SECONDS:g} s")
        except ModelError as error:
            return error


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
