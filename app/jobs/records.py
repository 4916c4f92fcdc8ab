"""The ports of ``app.llm`` on the store's repositories."""

from dataclasses import dataclass

from typing_extensions import override

from app.llm.capabilities import CapabilityRecords
from app.llm.ledger import CallRecords
from app.llm.replay import AnswerRecords
from optimizer.types import JsonObject, Spend
from store.calls import LedgerScope
from store.records.calls import CallSpend, RecordedCall
from store.repositories.capabilities import CapabilityRepository
from store.repositories.recorded_calls import RecordedCalls


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerCall:
    """A finished call with what it took."""

    response: JsonObject
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


class StoredCalls(CallRecords):
    """One run's ledger rows."""

    def __init__(self, scope: LedgerScope) -> None:
        """The rows of ``scope``."""
        self._scope = scope

    @override
    async def find(self, key: str) -> LedgerCall | None:
        recorded = self._scope.find(key)
        return None if recorded is None else _ledger_call(recorded)

    @override
    async def intend(self, key: str, role: str, model: str, estimate: Spend) -> None:
        upper = _spend(estimate.calls, estimate.prompt_tokens, estimate.completion_tokens, estimate.cost)
        await self._scope.intend(key, role=role, model=model, estimate=upper, again=True)

    @override
    def complete(
        self,
        key: str,
        response: JsonObject,
        calls: int,
        prompt_tokens: int,
        completion_tokens: int,
        cost: float,
    ) -> None:
        spend = _spend(calls, prompt_tokens, completion_tokens, cost)
        self._scope.complete(key, response, spend)

    @override
    async def fail(
        self, key: str, calls: int, prompt_tokens: int, completion_tokens: int, cost: float
    ) -> None:
        await self._scope.fail(key, _spend(calls, prompt_tokens, completion_tokens, cost))


class ReplayedCalls(AnswerRecords):
    """The finished calls of the job that is replayed."""

    def __init__(self, recorded: RecordedCalls) -> None:
        """The calls in ``recorded``."""
        self._recorded = recorded

    @override
    def find(self, key: str) -> LedgerCall | None:
        found = self._recorded.find(key)
        return None if found is None else _ledger_call(found)


class StoredCapabilities(CapabilityRecords):
    """What backends were found to be able to do."""

    def __init__(self, repository: CapabilityRepository) -> None:
        """The records in ``repository``."""
        self._repository = repository

    @override
    async def get(self, backend: str, model: str) -> JsonObject | None:
        found = await self._repository.find(backend, model)
        return None if found is None else found.record

    @override
    async def put(self, backend: str, model: str, record: JsonObject) -> None:
        await self._repository.put(backend, model, record)


def _ledger_call(recorded: RecordedCall) -> LedgerCall | None:
    if not isinstance(recorded.response, dict):
        return None
    spend = recorded.spend
    return LedgerCall(
        response=recorded.response,
        calls=spend.calls,
        prompt_tokens=spend.prompt_tokens,
        completion_tokens=spend.completion_tokens,
        cost=spend.cost,
    )


def _spend(calls: int, prompt_tokens: int, completion_tokens: int, cost: float) -> CallSpend:
    return CallSpend(calls=calls, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, cost=cost)
