"""Small requests and outcomes for the tests of the wrappers."""

import asyncio
import dataclasses

from typing_extensions import override

from optimizer.budget import Budget, Limits
from optimizer.errors import BackendUnavailableError, MalformedResponseError, RateLimitedError
from optimizer.types import CompletionRequest, CompletionResult, Message, Sampling
from tests.fakes.chat_model import ScriptedModel

TRANSIENT = (
    RateLimitedError("slow down", backend="b"),
    BackendUnavailableError("down", backend="b", status=503),
    MalformedResponseError("garbled", backend="b"),
)


def small_request(text: str = "hello", *, n: int = 1, seed: int | None = None) -> CompletionRequest:
    """One short user message, at most ten tokens of answer."""
    prompt = (Message(role="user", content=text),)
    return CompletionRequest(prompt=prompt, sampling=Sampling(max_tokens=10), n=n, seed=seed)


def too_many(retry_after: float | None = None) -> RateLimitedError:
    """A 429."""
    return RateLimitedError("slow down", backend="b", retry_after=retry_after)


def budget_of(limits: Limits | None = None) -> Budget:
    """A budget whose clock stands still."""
    return Budget(limits or Limits(), clock=lambda: 0.0)


class SilentModel(ScriptedModel):
    """Does not say how many tokens it used."""

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        return dataclasses.replace(await super().complete(request), usage=None)


async def settle(turns: int = 20) -> None:
    """Let everything that can run without outside help run."""
    for _ in range(turns):
        await asyncio.sleep(0)
