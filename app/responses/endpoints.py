"""``POST /v1/responses``: OpenAI's newer API for the same answers, without anything kept between requests."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth import ServingPrincipal
from app.chat.calls import PreparedCall
from app.chat.entrance import Entrance
from app.chat.openapi import PROMPT, documentation, responses
from app.chat.serving import answer, chat_service
from app.dependencies import CurrentResources
from app.request_headers import headers_of
from app.responses.reading import read_request
from app.responses.service import ResponseService

router = APIRouter(tags=["responses"])


@router.post(
    "/v1/responses",
    summary="Create a response",
    response_class=Response,
    responses=responses(
        "The response",
        end="are numbered and end with response.completed or response.incomplete. A stream that breaks ends "
        "with an error event instead",
    ),
    openapi_extra=documentation(
        required=("input",),
        properties={
            "input": {
                "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "object"}}],
                "description": "A text, or messages, function calls and their outputs.",
            },
            "instructions": {"type": ["string", "null"], "description": "The caller's system message."},
            "prompt": PROMPT,
        },
        example={"model": "simulated-chat", "input": "Hello"},
    ),
)
async def create_response(
    request: Request, resources: CurrentResources, principal: ServingPrincipal
) -> Response:
    """Answer as the model, aligned as in chat. Nothing is kept: earlier turns are sent again in ``input``."""

    async def prepare(content: bytes, entrance: Entrance) -> PreparedCall:
        service = ResponseService(chat=chat_service(resources, principal, entrance))
        return await service.prepare(read_request(content, headers_of(request.scope)))

    return await answer(request, resources, principal, prepare)
