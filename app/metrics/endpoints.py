"""``GET /metrics``, for Prometheus: not public, and not part of the API."""

import hmac

from fastapi import APIRouter, Depends, Request, Response
from pydantic import SecretStr

from app.access.principal import Scope
from app.auth import LOCAL, Authenticator
from app.configuration import is_loopback
from app.dependencies import CurrentResources
from app.errors import ApiError, ErrorAnswer, not_found

router = APIRouter(include_in_schema=False)


async def may_look(request: Request) -> None:
    """Let in whoever has the token for this, or a key that may administrate.

    Raises:
        ApiError: 401 or 403.
        StoreUnavailableError: the database is away, and nothing is known about the key.
    """
    token: SecretStr | None = request.app.state.metrics_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    if token is not None and hmac.compare_digest(given, token.get_secret_value().encode()):
        return
    authenticator: Authenticator = request.app.state.authenticator
    principal = await authenticator.authenticate(request.headers)
    # a worker may listen beyond loopback without a key, which the API may not
    is_far = principal is LOCAL and not (request.client and is_loopback(request.client.host))
    if is_far or not principal.may(Scope.ADMIN):
        raise ApiError(
            ErrorAnswer(
                status=403,
                message="metrics are for observability.metrics_token, or a key with the scope admin",
                type="permission_error",
                code="insufficient_scope",
            )
        )


@router.get("/metrics", dependencies=[Depends(may_look)])
async def metrics(request: Request, resources: CurrentResources) -> Response:
    """This process's metrics, in the format of Prometheus or OpenMetrics."""
    shown = await resources.observation.show(request.headers.get("accept", ""))
    if shown is None:
        raise not_found("nothing is counted: set observability.metrics to true")
    content, media_type = shown
    return Response(content, headers={"content-type": media_type})
