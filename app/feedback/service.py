"""Feedback: which answer it is about, and whether its caller may give it."""

from app.access.principal import Principal, Scope
from app.answer_ids import age_of, token_of
from app.errors import ApiError, conflict, not_found
from app.feedback.schemas import FeedbackObject, GiveFeedback
from app.release_control.watch import WAIT_SECONDS
from app.resources import Resources
from store.errors import NotFoundError
from store.records.releases import FeedbackDraft

_CLOCKS_DIFFER = 300.0
"""Seconds by which the clocks of machines may."""


async def give_feedback(resources: Resources, principal: Principal, given: GiveFeedback) -> FeedbackObject:
    """Note what ``given`` says, in place of what the same rater has said of the same answer.

    Raises:
        ApiError: 404, there is no such answer to this caller; 409, answers are not kept.
    """
    if resources.settings.usage.keep_days <= 0:
        raise conflict("answers are not kept (usage.keep_days), so that no feedback can be tied to them")
    token = token_of(given.response_id)
    if token is None:
        raise _unknown(given.response_id)
    draft = FeedbackDraft(
        token=token,
        rater=given.user or "",
        key_number=principal.key_number,
        any_key=principal.may(Scope.ADMIN),
        score=given.score,
        comment=given.comment,
        may_wait=-_CLOCKS_DIFFER < age_of(token) < WAIT_SECONDS,
    )
    try:
        found = await resources.release_control.feedback.give(draft)
    except NotFoundError:
        raise _unknown(given.response_id) from None
    return FeedbackObject(
        response_id=given.response_id,
        score=found.score,
        user=found.rater or None,
        comment=found.comment,
        status="waiting" if found.model is None else "counted",
        model=found.model,
        version=found.version_id or None,
        arm=found.arm,
    )


def _unknown(answer_id: str) -> ApiError:
    return not_found(
        f"there is no answer {answer_id[:64]!r} to this API key: response_id has to be the id in an answer's "
        "body, as chatcmpl-..., cmpl-... or resp_...",
        param="response_id",
        code="response_not_found",
    )
