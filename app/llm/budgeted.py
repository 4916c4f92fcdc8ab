"""No request without room in the budget, and none that goes on when its time is over."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache

from typing_extensions import override

from app.llm.accounting import charge, spend_without_answer
from app.llm.errors import NeverSentError
from app.llm.prices import Price
from app.llm.token_counts import TokenCount
from app.llm.wrapper import ModelWrapper
from optimizer.budget import Budget, Reservation
from optimizer.protocols import ChatModel
from optimizer.types import (
    CompletionRequest,
    CompletionResult,
    JsonValue,
    Message,
    OutputSchema,
    Spend,
    Usage,
)

DEFAULT_MAX_TOKENS = 4096
"""Bound put on a request that has none: without one no budget of tokens could hold."""

_TOKENS_PER_MESSAGE = 16


def upper_bound(request: CompletionRequest) -> Usage:
    """The most tokens that ``request`` can use, with ``DEFAULT_MAX_TOKENS`` where it has no ``max_tokens``.

    A token stands for at least one byte, so that bytes bound the prompt; 16 for each message cover what a
    chat template adds.
    """
    if isinstance(request.prompt, str):
        prompt = _bytes(request.prompt) + _TOKENS_PER_MESSAGE
    else:
        prompt = sum(_message_bytes(message) + _TOKENS_PER_MESSAGE for message in request.prompt)
    if request.output is not None:
        prompt += _schema_bytes(_Same(request.output))
    limit = request.sampling.max_tokens
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=request.n * (DEFAULT_MAX_TOKENS if limit is None else limit),
    )


def waiting_within(
    budget: Budget, sleep: Callable[[float], Awaitable[None]]
) -> Callable[[float], Awaitable[None]]:
    """``sleep``, but a wait that would outlast the budget's seconds is not begun.

    Raises:
        BudgetExceededError: (the function returned) nothing can be asked any more after such a wait.
    """

    async def wait(seconds: float) -> None:
        left = budget.seconds_left()
        if left is not None and seconds >= left:
            raise budget.refusal("seconds")
        await sleep(seconds)

    return wait


@asynccontextmanager
async def in_time(budget: Budget) -> AsyncIterator[None]:
    """Give up what is done inside when the seconds of ``budget`` are over, however many they are by then.

    Raises:
        BudgetExceededError: they are.
    """
    deadline = asyncio.timeout(budget.seconds_left())
    loop = asyncio.get_running_loop()

    def move() -> None:
        left = budget.seconds_left()
        if not deadline.expired():
            deadline.reschedule(None if left is None else loop.time() + left)

    try:
        async with deadline:
            with budget.heard_by(move):
                yield
    except TimeoutError:
        if deadline.expired():
            raise budget.refusal("seconds") from None
        raise


class BudgetedModel(ModelWrapper):
    """Reserves the most a request can cost before it, and settles what it did cost after it.

    Each ``complete`` is one HTTP request and counts as one call, unless it never left. Where the backend does
    not say what was used, the reservation counts as used; for failures see ``spend_without_answer``. What is
    still under way when the budget's seconds are over is given up with BudgetExceededError.
    """

    def __init__(
        self, model: ChatModel, budget: Budget, price: Price, *, count: TokenCount | None = None
    ) -> None:
        """``model``, whose tokens cost ``price``, under ``budget``; ``count`` counts those of a prompt."""
        super().__init__(model)
        self._budget = budget
        self._price = price
        self._count = count

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        request = _bounded(request)
        estimate = await self._estimate(request)
        reservation = await self._budget.reserve(estimate)
        try:
            async with in_time(self._budget):
                result = await self._model.complete(request)
        except NeverSentError:
            self._budget.release(reservation)
            raise
        except BaseException as failure:
            self._settle(reservation, spend_without_answer(failure, estimate))
            raise
        self._settle(reservation, estimate if result.usage is None else self._price.spend(result.usage))
        return result

    async def _estimate(self, request: CompletionRequest) -> Spend:
        """The most that ``request`` can cost.

        Its prompt is counted only where it would be refused for its bytes, which are several times its
        tokens, and could fit otherwise: a question more at the end of a budget, and none before.
        """
        bound = upper_bound(request)
        estimate, least = (
            self._price.spend(usage) for usage in (bound, dataclasses.replace(bound, prompt_tokens=0))
        )
        if self._count is None:
            return estimate
        await self._budget.until_room(estimate)
        if self._budget.fits(estimate) or not self._budget.fits(least):
            return estimate
        async with in_time(self._budget):
            counted = await self._count(request)
        if counted is None:
            return estimate
        exact = dataclasses.replace(bound, prompt_tokens=min(counted, bound.prompt_tokens))
        return self._price.spend(exact)

    def _settle(self, reservation: Reservation, spend: Spend) -> None:
        self._budget.settle(reservation, spend)
        charge(spend)


def _bounded(request: CompletionRequest) -> CompletionRequest:
    if request.sampling.max_tokens is not None:
        return request
    sampling = dataclasses.replace(request.sampling, max_tokens=DEFAULT_MAX_TOKENS)
    return dataclasses.replace(request, sampling=sampling)


def _message_bytes(message: Message) -> int:
    return _bytes(message.content) + (_bytes(dict(message.extra)) if message.extra else 0)


class _Same:
    """A schema, equal to itself alone: there are a few in a process, and they never change."""

    __slots__ = ("output",)

    def __init__(self, output: OutputSchema) -> None:
        self.output = output

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.output is self.output

    @override
    def __hash__(self) -> int:
        return id(self.output)


@lru_cache(maxsize=64)
def _schema_bytes(same: _Same) -> int:
    return _bytes(dict(same.output.schema))


def _bytes(value: JsonValue) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    return len(json.dumps(value))  # escapes: never shorter than the UTF-8 that is sent
