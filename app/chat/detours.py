"""From a request to the call that is made for it, and to the next one where that is not answered."""

import asyncio
import dataclasses
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from typing_extensions import override

from app.chat.calls import Detours, PreparedCall
from app.chat.headers import ATTEMPTS_HEADER, BACKEND_HEADER, FALLBACK_HEADER
from app.errors import ApiError
from app.llm.errors import NeverSentError
from app.llm.http import RawResponse
from app.llm.passthrough import Frames, Upstream
from app.llm.routing.routes import Route, Routes
from app.llm.routing.trip import Trip
from app.llm.wire import Path
from optimizer.errors import ModelError


class WriteCall(Protocol):
    """Makes the call that asks one route: not every model takes the same body."""

    async def __call__(self, route: Route, *, may_ask: bool) -> PreparedCall:
        """The call that asks ``route``.

        Args:
            route: whom it asks.
            may_ask: whether its model may be asked what it can do, where nobody knows.

        Raises:
            ApiError: the request cannot be used, or not there.
            ModelError: the model had to be asked what it can do and did not answer.
        """
        ...


async def prepared(routes: Routes, write: WriteCall) -> PreparedCall:
    """The first call of a request.

    Args:
        routes: who may be asked.
        write: makes the call for one of them.

    Raises:
        ApiError: the request cannot be used.
        ModelError: a model had to be asked what it can do and did not answer, nor did another one.
    """
    if routes.only is not None:  # nothing to choose, nothing to watch
        return await write(routes.only, may_ask=True)
    return await RoutedDetours(routes, write).first()


class RoutedDetours(Detours):
    """The calls of one request: each is made where the one before was not answered."""

    def __init__(self, routes: Routes, write: WriteCall) -> None:
        """The calls of a request that begins now; see ``prepared``."""
        self._trip = Trip(routes)
        self._routes = routes
        self._write = write
        self._route: Route | None = None

    @property
    @override
    def attempts(self) -> int:
        """How many there have been, the one under way included."""
        return self._trip.attempts

    @override
    def headers(self) -> dict[str, str]:
        """What the answer says about its way, where there are several."""
        if self._route is None or not self._routes.are_several:
            return {}
        return {
            BACKEND_HEADER: self._route.backend,
            ATTEMPTS_HEADER: str(self._trip.attempts),
            FALLBACK_HEADER: str(self._route.is_fallback).lower(),
        }

    async def first(self) -> PreparedCall:
        """The first call.

        Raises:
            ApiError: the request cannot be used.
            ModelError: no model could be asked what it can do.
        """
        route = self._trip.depart()
        if (refusal := self._trip.refusal) is not None:
            call = await self._written(route, may_ask=False)
            return dataclasses.replace(call, upstream=_Nobody(refusal))
        try:
            return await self._taken(route)
        except ModelError as error:
            self._trip.failed(error, surely=True)  # whoever is asked what it can do is asked several times
            if (next_call := await self._next(error)) is None:
                raise
            return next_call

    @override
    async def after(self, error: ModelError) -> PreparedCall | None:
        """The call that follows the one which ended in ``error``; None where none does."""
        self._trip.failed(error)
        return await self._next(error)

    @override
    def answered(self) -> None:
        """The call under way has an answer, or the beginning of one."""
        self._trip.answered()

    @override
    def broke(self, error: ModelError) -> None:
        """An answer that had begun has ended in ``error``."""
        self._trip.broke(error)

    @override
    def close(self) -> None:
        """The request is over, however that came."""
        self._trip.left()

    async def _next(self, error: ModelError) -> PreparedCall | None:
        while (leg := self._trip.onward(error)) is not None:
            try:
                if leg.wait_seconds:
                    await asyncio.sleep(leg.wait_seconds)
                return await self._taken(leg.route)
            except ModelError as unasked:
                self._trip.failed(unasked, surely=True)
            except ApiError:
                return None
            except BaseException:
                self._trip.left()
                raise
        return None

    async def _taken(self, route: Route) -> PreparedCall:
        """The call that asks ``route``, or another one where that model cannot be asked this."""
        try:
            return await self._written(route)
        except ApiError:
            other = self._trip.aside(route)
            if other is None:
                raise
            return await self._taken(other)

    async def _written(self, route: Route, *, may_ask: bool = True) -> PreparedCall:
        try:
            call = await self._write(route, may_ask=may_ask)
        except ModelError:
            raise
        except BaseException:
            self._trip.left()
            raise
        self._route = route
        return dataclasses.replace(call, detours=self, is_fallback=route.is_fallback)


class _Nobody(Upstream):
    """Stands where nobody is asked."""

    def __init__(self, refusal: NeverSentError) -> None:
        self._refusal = refusal

    @override
    async def send(self, body: bytes, path: Path) -> RawResponse:
        raise self._refusal

    @override
    def stream(self, body: bytes, path: Path) -> AbstractAsyncContextManager[Frames]:
        raise self._refusal
