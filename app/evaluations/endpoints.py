"""``POST /v1/evaluations`` and ``POST /v1/evaluations/likelihood``."""

from fastapi import APIRouter
from starlette.requests import Request

from app.auth import ServingPrincipal
from app.dependencies import CurrentResources
from app.evaluations.charging import Asked
from app.evaluations.likelihood import LikelihoodService
from app.evaluations.schemas import AnswerEvaluation, AnswerLikelihood, EvaluateAnswers, MeasureLikelihood
from app.evaluations.service import EvaluationService
from app.middleware import exchange_of

router = APIRouter(tags=["evaluations"])


@router.post("/v1/evaluations")
async def evaluate_answers(
    body: EvaluateAnswers, request: Request, resources: CurrentResources, principal: ServingPrincipal
) -> AnswerEvaluation:
    """Have answers to one query judged: scores with reasons for each criterion, or why there are none.

    It counts for the key as a request for a model does, by what judge and selector use.
    """
    return await EvaluationService(resources, await _asked(request, principal)).judge(body)


@router.post("/v1/evaluations/likelihood")
async def measure_likelihood(
    body: MeasureLikelihood, request: Request, resources: CurrentResources, principal: ServingPrincipal
) -> AnswerLikelihood:
    """How likely each prompt version makes a given answer, by the model's own log-probabilities.

    No judge is asked, and nothing is written: one token a version is. The model's backend has to tell
    log-probabilities of what it is sent (vLLM does). It counts for the key as a request for the model.
    """
    return await LikelihoodService(resources, await _asked(request, principal)).measure(body)


async def _asked(request: Request, principal: ServingPrincipal) -> Asked:
    return Asked(
        principal=principal,
        request_id=request.scope["state"]["request_id"],
        endpoint=request.scope["path"],
        size=len(await request.body()),
        headers=exchange_of(request.scope).added,
    )
