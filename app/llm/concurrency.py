"""Models whose requests need a place at their backend."""

from contextlib import AsyncExitStack

from typing_extensions import override

from app.backend_settings import RequestOrder
from app.llm.accounting import spend_without_answer
from app.llm.budgeted import in_time, upper_bound
from app.llm.limits.limiter import BackendLimiter, Place
from app.llm.limits.sweep import Beginning
from app.llm.prices import Price
from app.llm.wrapper import ModelWrapper
from optimizer.budget import Budget
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult, Spend


class ConcurrencyLimitedModel(ModelWrapper):
    """Waits for a place at the backend before each request, and for room in the budget without one.

    A request that has to wait for its job's budget gives its place back meanwhile: jobs share the places, and
    one with little budget left must not hold what another could use.
    """

    def __init__(
        self,
        model: ChatModel,
        limiter: BackendLimiter,
        *,
        job: str,
        budget: Budget,
        price: Price,
        order: RequestOrder = "prefix",
    ) -> None:
        """``model``, which reserves in ``budget`` what a request can cost at ``price``.

        Args:
            model: who is asked once there is a place.
            limiter: that of the backend, for all models there.
            job: for whom places are shared out fairly.
            budget: the job's.
            price: of the model's tokens.
            order: in which requests leave that have to wait.
        """
        super().__init__(model)
        self._limiter = limiter
        self._job = job
        self._budget = budget
        self._price = price
        self._order = order

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        beginning = beginning_of(request, self.name) if self._order == "prefix" else ()
        estimate = self._price.spend(upper_bound(request))
        while True:
            async with AsyncExitStack() as held:
                async with in_time(self._budget):
                    place = await held.enter_async_context(
                        self._limiter.hold(self._job, estimate.tokens, beginning=beginning)
                    )
                if not self._budget.must_wait(estimate):
                    return await self._ask(request, estimate, place)
                place.unused = True
            await self._budget.until_room(estimate)

    async def _ask(self, request: CompletionRequest, estimate: Spend, place: Place) -> CompletionResult:
        try:
            with self._limiter.watch():
                result = await self._model.complete(request)
        except BaseException as failure:
            place.tokens = spend_without_answer(failure, estimate).tokens
            raise
        if result.usage is not None:
            place.tokens = result.usage.total_tokens
        return result


def beginning_of(request: CompletionRequest, model: str) -> Beginning:
    """What ``model`` reads of ``request``, from the first word on: other models keep other prefixes."""
    if isinstance(request.prompt, str):
        return (model, request.prompt)
    return (model, *(part for turn in request.prompt for part in (turn.role, turn.text)))


class WatchedModel(ModelWrapper):
    """Waits for no place, but takes one: for calls that a user waits for."""

    def __init__(self, model: ChatModel, limiter: BackendLimiter) -> None:
        """``model``, whose requests count among those of the ``limiter`` of its backend."""
        super().__init__(model)
        self._limiter = limiter

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        with self._limiter.serve() as place, self._limiter.watch():
            result = await self._model.complete(request)
        if result.usage is not None:
            place.tokens = result.usage.total_tokens
        return result
