"""``POST /v1/feedback``."""

from fastapi import APIRouter

from app.auth import ServingPrincipal
from app.dependencies import CurrentResources
from app.feedback.schemas import FeedbackObject, GiveFeedback
from app.feedback.service import give_feedback

router = APIRouter(tags=["feedback"])


@router.post("/v1/feedback")
async def post_feedback(
    given: GiveFeedback, resources: CurrentResources, principal: ServingPrincipal
) -> FeedbackObject:
    """Say how good an answer was; said again it takes the place of what was said before."""
    return await give_feedback(resources, principal, given)
