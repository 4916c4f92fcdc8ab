"""``POST /v1/completions``: texts to be completed."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth import ServingPrincipal
from app.chat.calls import PreparedCall
from app.chat.entrance import Entrance
from app.chat.openapi import documentation, responses
from app.chat.serving import answer, chat_service
from app.completions.reading import read_request
from app.completions.service import CompletionsService
from app.dependencies import CurrentResources
from app.request_headers import headers_of

router = APIRouter(tags=["completions"])


@router.post(
    "/v1/completions",
    summary="Complete a text",
    response_class=Response,
    responses=responses("A text_completion"),
    openapi_extra=documentation(
        required=("model", "prompt"),
        properties={
            "prompt": {
                "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}],
                "description": "A text, a list of texts, a list of tokens, or a list of such lists.",
            }
        },
        example={"model": "simulated-base", "prompt": "The sea is blue because", "max_tokens": 32},
    ),
)
async def create_completion(
    request: Request, resources: CurrentResources, principal: ServingPrincipal
) -> Response:
    """Complete a text as it is; where the request asks for that, as a query to an aligned base model."""

    async def prepare(content: bytes, entrance: Entrance) -> PreparedCall:
        service = CompletionsService(chat=chat_service(resources, principal, entrance))
        return await service.prepare(read_request(content, headers_of(request.scope)))

    return await answer(request, resources, principal, prepare)
