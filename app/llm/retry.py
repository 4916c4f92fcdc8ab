"""Trying again what is worth another try."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
)
from typing_extensions import override

from app.backend_settings import RetrySettings
from app.llm.wrapper import ModelWrapper
from optimizer.errors import BackendUnavailableError, MalformedResponseError, RateLimitedError
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult

Sleep: TypeAlias = Callable[[float], Awaitable[None]]

_WORTH_ANOTHER_TRY = (RateLimitedError, BackendUnavailableError, MalformedResponseError)
_LARGEST_POWER = 62


def retrying(
    settings: RetrySettings,
    jitter: random.Random,
    sleep: Sleep = asyncio.sleep,
    *,
    began: float | None = None,
) -> AsyncRetrying:
    """A fresh policy for one operation; policies hold state and must not be shared.

    ``began`` is the monotonic time of the first attempt, where that lies before the policy's making.
    Waits double from ``first_wait_seconds`` to ``max_wait_seconds``, each varied by half of itself; what the
    backend's Retry-After asks for is added. The last error is raised as it was.
    """

    def wait(state: RetryCallState) -> float:
        power = min(state.attempt_number - 1, _LARGEST_POWER)
        backoff = min(settings.first_wait_seconds * float(2**power), settings.max_wait_seconds)
        backoff *= jitter.uniform(0.5, 1.5)
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        # The jitter goes on top of what was asked for, or all who wait come back at the same moment.
        return backoff if asked is None else asked + backoff

    passed = 0.0 if began is None else time.monotonic() - began
    return AsyncRetrying(
        sleep=sleep,
        wait=wait,
        stop=stop_after_attempt(settings.max_attempts)
        | stop_before_delay(settings.max_total_seconds - passed),
        retry=retry_if_exception_type(_WORTH_ANOTHER_TRY),
        reraise=True,
    )


class RetryingModel(ModelWrapper):
    """Repeats requests that met a rate limit, a time-out, a lost connection, a 5xx or a garbled response."""

    def __init__(
        self, model: ChatModel, settings: RetrySettings, *, seed: int, sleep: Sleep = asyncio.sleep
    ) -> None:
        """Retries for ``model``.

        Args:
            model: who is asked; each attempt is one ``complete``.
            settings: how often and how patiently.
            seed: seed of the jitter.
            sleep: how to wait; tests pass one that does not.
        """
        super().__init__(model)
        self._settings = settings
        self._jitter = random.Random(seed)
        self._sleep = sleep

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        began = time.monotonic()
        try:
            return await self._model.complete(request)
        except _WORTH_ANOTHER_TRY as error:
            failed: list[Exception] = [error]
        # A policy is built only now: nearly all requests need none.
        policy = retrying(self._settings, self._jitter, self._sleep, began=began)

        async def attempt() -> CompletionResult:
            if failed:
                raise failed.pop()
            return await self._model.complete(request)

        result: CompletionResult = await policy(attempt)
        return result
