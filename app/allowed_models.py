"""Keys with an allowlist of models: what belongs to other models does not exist for them."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from fastapi import Request

from app.auth import OptimizingPrincipal
from app.dependencies import CurrentResources
from app.resources import Resources

ModelOf: TypeAlias = Callable[[Resources, str], Awaitable[str]]


class AllowedModels:
    """The dependency of all routes of a router that name a model in their path, or what belongs to one."""

    def __init__(self, param: str, model_of: ModelOf, unknown: Callable[[str], Exception]) -> None:
        """Let callers see what belongs to models that they may ask.

        Args:
            param: the path's parameter; routes without it are let through.
            model_of: from its value to the model; raises what the route does where there is none.
            unknown: the same error, for what belongs to another model.
        """
        self._param = param
        self._model_of = model_of
        self._unknown = unknown

    async def __call__(
        self, request: Request, resources: CurrentResources, principal: OptimizingPrincipal
    ) -> None:
        """Check one request.

        Raises:
            Exception: ``unknown``, or what ``model_of`` raises.
        """
        value: str | None = request.path_params.get(self._param)
        if value is None or principal.models is None:
            return
        if not principal.may_ask(await self._model_of(resources, value)):
            raise self._unknown(value)
