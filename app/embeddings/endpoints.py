"""``POST /v1/embeddings``: vectors of texts."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth import ServingPrincipal
from app.chat.calls import PreparedCall
from app.chat.entrance import Entrance
from app.chat.openapi import documentation, responses
from app.chat.serving import answer
from app.dependencies import CurrentResources
from app.embeddings.service import prepare

router = APIRouter(tags=["embeddings"])


@router.post(
    "/v1/embeddings",
    summary="Embed texts",
    response_class=Response,
    responses=responses("A list of embeddings", streams=False),
    openapi_extra=documentation(
        required=("model", "input"),
        properties={
            "input": {
                "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}],
                "description": "A text, a list of texts, a list of tokens, or a list of such lists.",
            }
        },
        example={"model": "simulated-embedder", "input": "Why is the sea blue?"},
        aligned=False,
    ),
)
async def create_embeddings(
    request: Request, resources: CurrentResources, principal: ServingPrincipal
) -> Response:
    """Vectors from the configured embedding model; every field but the model's name goes there as it is."""

    async def prepared(content: bytes, _: Entrance) -> PreparedCall:
        return prepare(content, resources.models, principal)

    return await answer(request, resources, principal, prepared)
