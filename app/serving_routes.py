"""Requests for models on a short way: past the framework's matching, dependencies and layers.

The routes are the application's own, so what is answered here is documented, named and guarded as they say.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.access.principal import Principal
from app.auth import Requires, requirement_of
from app.errors import answer_to
from app.middleware import exchange_of
from app.resources import Resources

ServingEndpoint: TypeAlias = Callable[[Request, Resources, Principal], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Served:
    route: APIRoute
    requires: Requires
    endpoint: ServingEndpoint


class ServingRoutes:
    """An ASGI application of the endpoints that models answer; it stands behind what names the caller."""

    def __init__(self, routers: Iterable[APIRouter], resources: Resources) -> None:
        """Of the routes of ``routers``, whose endpoints take a request, resources and a principal.

        Raises:
            ValueError: a route does not say which scope it requires.
        """
        self._resources = resources
        self._served = {
            route.path: _Served(
                route=route, requires=requirement_of(route.dependant), endpoint=route.endpoint
            )
            for router in routers
            for route in router.routes
            if isinstance(route, APIRoute)
        }

    def answers(self, scope: Scope) -> bool:
        """Whether a connection is a request that is answered here."""
        return scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        served = self._served[scope["path"]]
        scope["route"] = served.route
        try:
            principal: Principal = scope["state"]["principal"]
            served.requires.check(principal)
            response = await served.endpoint(Request(scope, receive), self._resources, principal)
            await response(scope, receive, send)
        except Exception as error:
            answer = answer_to(error)
            if answer is None or exchange_of(scope).started:
                raise
            await answer.response()(scope, receive, send)
