"""``POST /v1/chat/completions``, as OpenAI's clients know it."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth import ServingPrincipal
from app.chat.calls import PreparedCall
from app.chat.entrance import Entrance
from app.chat.openapi import DOCUMENTATION, RESPONSES
from app.chat.reading import read_request
from app.chat.serving import answer, chat_service
from app.dependencies import CurrentResources
from app.request_headers import headers_of

router = APIRouter(tags=["chat"])


@router.post(
    "/v1/chat/completions",
    summary="Create a chat completion",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=DOCUMENTATION,
)
async def create_chat_completion(
    request: Request, resources: CurrentResources, principal: ServingPrincipal
) -> Response:
    """Answer as the model, aligned by its labelled prompt version.

    The body is read once and only where alignment needs it; all other fields go to the backend as they are.
    """

    async def prepare(content: bytes, entrance: Entrance) -> PreparedCall:
        service = chat_service(resources, principal, entrance)
        return await service.prepare(read_request(content, headers_of(request.scope)))

    return await answer(request, resources, principal, prepare)
