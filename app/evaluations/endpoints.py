"""``POST /v1/evaluations``."""

from fastapi import APIRouter
from starlette.requests import Request

from app.auth import ServingPrincipal
from app.dependencies import CurrentResources
from app.evaluations.schemas import AnswerEvaluation, EvaluateAnswers
from app.evaluations.service import Asked, EvaluationService
from app.middleware import exchange_of

router = APIRouter(tags=["evaluations"])


@router.post("/v1/evaluations")
async def evaluate_answers(
    body: EvaluateAnswers, request: Request, resources: CurrentResources, principal: ServingPrincipal
) -> AnswerEvaluation:
    """Have answers to one query judged: scores with reasons for each criterion, or why there are none.

    It counts for the key as a request for a model does, by what judge and selector use.
    """
    asked = Asked(
        principal=principal,
        request_id=request.scope["state"]["request_id"],
        endpoint=request.scope["path"],
        size=len(await request.body()),
        headers=exchange_of(request.scope).added,
    )
    return await EvaluationService(resources, asked).judge(body)
