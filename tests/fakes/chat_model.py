"""A chat model that says what a test tells it to."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from typing_extensions import override

from optimizer.protocols import ChatModel
from optimizer.types import Completion, CompletionRequest, CompletionResult, Usage

Reply: TypeAlias = "str | tuple[str, ...] | Completion | BaseException"
"""What one call gives: a text for every completion, one text each, the only completion, or an error."""


def _in_turn(name: str, script: Iterator[Reply]) -> Callable[[CompletionRequest], Reply]:
    def reply(_: CompletionRequest) -> Reply:
        following = next(script, None)
        if following is None:
            raise AssertionError(f"{name} was called more often than its script is long")
        return following

    return reply


class ScriptedModel(ChatModel):
    """Answers from a script, or by a function of the request, and records what it was asked.

    Attributes:
        requests: all requests, in the order in which they came.
        in_flight: calls that have begun and not ended.
        cancelled: calls that were cancelled.
        gate: every call waits for it before it answers; None for no waiting.
    """

    def __init__(
        self,
        replies: Iterable[Reply] | Callable[[CompletionRequest], Reply] = (),
        *,
        name: str = "fake/scripted",
        gate: asyncio.Event | None = None,
    ) -> None:
        """Answer call after call from ``replies``; a call after the last one is a failed test."""
        self.requests: list[CompletionRequest] = []
        self.in_flight = 0
        self.cancelled = 0
        self.gate = gate
        self._name = name
        self._arrived = asyncio.Condition()
        self._reply = replies if callable(replies) else _in_turn(name, iter(replies))

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        self.requests.append(request)
        reply = self._reply(request)
        self.in_flight += 1
        try:
            async with self._arrived:
                self._arrived.notify_all()
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1
        return self._result(request, reply)

    async def wait_for_calls(self, count: int) -> None:
        """Return when ``count`` calls have begun."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)

    def _result(self, request: CompletionRequest, reply: Reply) -> CompletionResult:
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, Completion):
            completions: tuple[Completion, ...] = (reply,)
        else:
            texts = (reply,) * request.n if isinstance(reply, str) else reply
            completions = tuple(Completion(text=text, finish_reason="stop") for text in texts)
        assert len(completions) == request.n, (
            "the script has another number of completions than was asked for"
        )
        return CompletionResult(
            completions=completions,
            usage=Usage(prompt_tokens=1, completion_tokens=request.n),
            model=self._name,
            seconds=0.0,
        )
