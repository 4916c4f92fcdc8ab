"""How many requests a backend gets at once: fewer when it says 429, more again while it answers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from typing_extensions import override

from optimizer.errors import RateLimitedError
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult


class AdaptiveLimiter:
    """Additive increase, multiplicative decrease, first come first served; one for each backend.

    A 429 halves the limit, but only once for all requests that were in flight together: they were all sent
    under the old limit and say the same thing. As many successes as the limit raise it by one.
    """

    def __init__(self, maximum: int) -> None:
        """A limiter that begins at ``maximum`` (at least 1) and never goes above it."""
        if maximum < 1:
            raise ValueError("the maximum is at least 1")
        self._maximum = maximum
        self._limit = float(maximum)
        self._window = 0
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """Requests allowed at once right now, 1 to the maximum."""
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self._waiting)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A place for one request: waits for one, adapts the limit to how the request ends."""
        await self._enter()
        try:
            async with self.watch():
                yield
        finally:
            self._leave()

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[None]:
        """Adapt the limit to how a request ends that does not wait for a place, such as a user's."""
        window = self._window
        try:
            yield
        except RateLimitedError:
            self._shrink(window)
            raise
        self._grow()

    async def _enter(self) -> None:
        if self._in_flight < self.limit:
            self._in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place came with the cancellation: pass it on
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _leave(self) -> None:
        self._in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._in_flight < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)

    def _shrink(self, window: int) -> None:
        if window == self._window:
            self._window += 1
            self._limit = max(1.0, self._limit / 2)

    def _grow(self) -> None:
        self._limit = min(float(self._maximum), self._limit + 1 / self._limit)
        self._admit()


class ConcurrencyLimitedModel(ChatModel):
    """Waits for a place at the backend before each request."""

    def __init__(self, model: ChatModel, limiter: AdaptiveLimiter) -> None:
        """``model`` under the ``limiter`` that all models of its backend share."""
        self._model = model
        self._limiter = limiter

    @property
    @override
    def name(self) -> str:
        return self._model.name

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        async with self._limiter.slot():
            return await self._model.complete(request)


class WatchedModel(ChatModel):
    """Waits for no place, but its requests teach the limiter: for calls that a user waits for."""

    def __init__(self, model: ChatModel, limiter: AdaptiveLimiter) -> None:
        """``model``, watched by the ``limiter`` that all models of its backend share."""
        self._model = model
        self._limiter = limiter

    @property
    @override
    def name(self) -> str:
        return self._model.name

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        async with self._limiter.watch():
            return await self._model.complete(request)
