"""No finished call is made again.

Every call is looked up first, announced before it is made, and recorded after it.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Protocol

from typing_extensions import override

from app.llm.accounting import account_for_call
from app.llm.budgeted import upper_bound
from app.llm.metering import Meter
from app.llm.prices import Price
from app.llm.recording import (
    call_key,
    refusal_from_json,
    refusal_to_json,
    result_from_json,
    result_to_json,
)
from app.llm.wrapper import ModelWrapper
from optimizer.budget import Budget
from optimizer.errors import MisconfiguredError, RequestRefusedError
from optimizer.protocols import ChatModel
from optimizer.shared_calls import SharedCalls
from optimizer.types import CompletionRequest, CompletionResult, JsonObject, ModelRole, Spend


class RecordedCall(Protocol):
    """A finished call as the store gives it back."""

    @property
    def response(self) -> JsonObject:
        """What ``complete`` was given."""
        ...

    @property
    def calls(self) -> int:
        """Requests that it took, retries included."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """Tokens sent."""
        ...

    @property
    def completion_tokens(self) -> int:
        """Tokens received."""
        ...

    @property
    def cost(self) -> float:
        """Money, in the currency of the prices."""
        ...


class CallRecords(Protocol):
    """The rows of one run's ledger."""

    async def find(self, key: str) -> RecordedCall | None:
        """The finished call under ``key``, or None: one that was only announced is not finished."""
        ...

    async def intend(self, key: str, role: str, model: str, estimate: Spend) -> None:
        """Announce a call, durably, before it is made.

        A finished call is announced again where its answer cannot be read; the next one takes its place.
        ``estimate`` is the most that one request for it can cost; it counts as spent where nobody sees the
        end of the call.
        """
        ...

    def complete(
        self,
        key: str,
        response: JsonObject,
        calls: int,
        prompt_tokens: int,
        completion_tokens: int,
        cost: float,
    ) -> None:
        """Record the answer and what it took; durable before any later ``intend`` is."""
        ...

    async def fail(
        self, key: str, calls: int, prompt_tokens: int, completion_tokens: int, cost: float
    ) -> None:
        """Record that an announced call brought no answer, and what it took. It may be announced again."""
        ...


class EarlierCalls(Protocol):
    """What another run was answered, and this one takes over without asking."""

    def take(self, key: str, request: CompletionRequest, *, role: str, model: str) -> None:
        """Put that run's answer to ``request`` of ``model`` (``backend/model``) on record under ``key``.

        Nothing happens where that run has none, or this one goes its own way by now.
        """
        ...


class CallLedger:
    """One run's ledger; all its roles share it.

    Attributes:
        earlier: where calls are taken from that this run has not made; None for nowhere.
    """

    def __init__(self, records: CallRecords, *, scope: str, budget: Budget, meter: Meter) -> None:
        """A ledger over ``records``.

        Args:
            records: where calls are kept.
            scope: the run; equal calls of other runs are other calls.
            budget: hears of calls that an earlier attempt has paid for.
            meter: counts answers that came from the ledger.
        """
        self._records = records
        self._scope = scope
        self._budget = budget
        self._meter = meter
        self._under_way: SharedCalls[str, CompletionResult] = SharedCalls()
        self._accounted: set[str] = set()
        self._taken: set[str] = set()
        self.earlier: EarlierCalls | None = None

    @property
    def taken(self) -> int:
        """Calls that were taken from another run's record, by this attempt or those before it."""
        return len(self._taken)

    def key(self, request: CompletionRequest, *, backend: str, model: str) -> str:
        """The key of a call in this run."""
        return call_key(request, scope=self._scope, backend=backend, model=model)

    async def call(
        self, key: str, model: ChatModel, request: CompletionRequest, role: ModelRole, price: Price
    ) -> CompletionResult:
        """The recorded answer under ``key``, or ``model``'s, which is then recorded.

        A refusal that concerns this request alone is an answer, too: the search goes on with it, and an
        attempt that asked again might go on otherwise.

        Equal calls at the same time are one call; it is cancelled when nobody waits for it any more.
        ``price`` is what ``model``'s tokens cost.

        Raises:
            ModelError: the call failed.
            BudgetExceededError: it was not made.
        """
        start = partial(self._find_or_ask, key, model, request, role, price)
        return await self._under_way.run(key, start)

    async def _find_or_ask(
        self, key: str, model: ChatModel, request: CompletionRequest, role: ModelRole, price: Price
    ) -> CompletionResult:
        recorded = await self._recorded(key, model, request, role)
        result = result_from_json(recorded.response) if recorded else None
        first = key not in self._accounted
        if recorded is not None:
            self._count_as_spent(
                key, recorded
            )  # also where another version's answer has to be asked for again
        if result is not None:
            self._meter.replayed(role, result.usage if first else None)
            return result
        refusal = refusal_from_json(recorded.response) if recorded else None
        if refusal is not None:
            self._meter.replayed(role)
            raise refusal
        self._accounted.add(key)
        with account_for_call() as account:
            try:
                estimate = price.spend(upper_bound(request))
                await self._records.intend(key, role.value, model.name, estimate)
                result = await model.complete(request)
            except RequestRefusedError as error:
                if isinstance(error, MisconfiguredError):
                    await _uninterrupted(self._records.fail(key, *_numbers(account.spent)))
                else:
                    self._records.complete(key, refusal_to_json(error), *_numbers(account.spent))
                raise
            except BaseException:
                await _uninterrupted(self._records.fail(key, *_numbers(account.spent)))
                raise
        self._records.complete(key, result_to_json(result), *_numbers(account.spent))
        return result

    async def _recorded(
        self, key: str, model: ChatModel, request: CompletionRequest, role: ModelRole
    ) -> RecordedCall | None:
        recorded = await self._records.find(key)
        if recorded is None and self.earlier is not None:
            self.earlier.take(key, request, role=role.value, model=model.name)
            recorded = await self._records.find(key)
        if recorded is not None and not recorded.calls:
            self._taken.add(key)  # whoever makes a call sends a request at least
        return recorded

    def _count_as_spent(self, key: str, recorded: RecordedCall) -> None:
        if key in self._accounted:
            return  # this attempt has paid for it itself, or has already said that it was paid for
        self._accounted.add(key)
        self._budget.replay(
            Spend(
                calls=recorded.calls,
                prompt_tokens=recorded.prompt_tokens,
                completion_tokens=recorded.completion_tokens,
                cost=recorded.cost,
            )
        )


class LedgeredModel(ModelWrapper):
    """Asks the ledger first."""

    def __init__(
        self,
        model: ChatModel,
        ledger: CallLedger,
        *,
        backend: str,
        model_id: str,
        role: ModelRole,
        price: Price,
    ) -> None:
        """``model``, which is ``model_id`` at ``backend`` for ``price``, in ``role``, behind ``ledger``."""
        super().__init__(model)
        self._ledger = ledger
        self._backend = backend
        self._model_id = model_id
        self._role = role
        self._price = price

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        key = self._ledger.key(request, backend=self._backend, model=self._model_id)
        return await self._ledger.call(key, self._model, request, self._role, self._price)


def _numbers(spend: Spend) -> tuple[int, int, int, float]:
    return spend.calls, spend.prompt_tokens, spend.completion_tokens, spend.cost


async def _uninterrupted(work: Coroutine[object, object, None]) -> None:
    """Finish ``work`` although the caller is cancelled: what was paid for must be on record."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at, or the loop reports it as lost; the cancellation goes first
        raise
