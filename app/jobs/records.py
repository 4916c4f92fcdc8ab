"""The ports of ``app.llm`` and ``rewards`` on the store's repositories."""

from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from app.llm.capabilities import CapabilityRecords
from app.llm.ledger import CallRecords
from app.llm.replay import AnswerRecords
from optimizer.types import JsonObject, Spend
from rewards.selection_json import selection_from_json
from rewards.types import SelectionKey, SelectionRecords, SelectionSource
from store.calls import LedgerScope
from store.records.calls import CallSpend, RecordedCall
from store.records.optimizations import Lease
from store.repositories.capabilities import CapabilityRepository
from store.repositories.recorded_calls import RecordedCalls
from store.repositories.selections import SelectionKey as StoredSelectionKey
from store.repositories.selections import SelectionRepository, Within


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


class ReplayedSelections(SelectionRecords):
    """The criteria that the replayed job has judged by; nothing is added to what is shared."""

    def __init__(self, pins: Mapping[StoredSelectionKey, JsonObject]) -> None:
        """The selections in ``pins``."""
        self._pins = dict(pins)

    @override
    async def get(self, key: SelectionKey) -> JsonObject | None:
        return self._pins.get(_stored_key(key))

    @override
    async def put(self, key: SelectionKey, value: JsonObject, source: SelectionSource) -> JsonObject:
        return self._pins.setdefault(_stored_key(key), value)


class JobSelections(SelectionRecords):
    """The selections of one job: the shared ones, pinned when it first uses them.

    The criteria are part of each request to the judge and so of its key in the ledger. A later attempt at the
    job has to judge by what the first one has used, fallbacks included, whatever other jobs have put into the
    shared cache meanwhile, or it pays for every score again.
    """

    def __init__(
        self,
        repository: SelectionRepository,
        lease: Lease,
        pins: dict[StoredSelectionKey, JsonObject],
        *,
        within: Within | None = None,
    ) -> None:
        """The selections in ``repository`` of the job under ``lease``.

        Args:
            repository: where all selections are.
            lease: the job's.
            pins: what it has pinned so far.
            within: transactions after all answers so far, those of the selector among them; None where the
                answers are on no record.
        """
        self._repository = repository
        self._lease = lease
        self._pins = pins
        self._within = within

    @classmethod
    async def open(
        cls, repository: SelectionRepository, lease: Lease, *, within: Within | None = None
    ) -> "JobSelections":
        """The selections of the job under ``lease``, with those that earlier attempts have pinned."""
        pins = await repository.pins(lease.optimization_id)
        return cls(repository, lease, pins, within=within)

    @override
    async def get(self, key: SelectionKey) -> JsonObject | None:
        stored_key = _stored_key(key)
        if stored_key in self._pins:
            return self._pins[stored_key]
        shared = await self._repository.find(stored_key)
        if shared is None or selection_from_json(shared, key) is None:
            return None
        self._pins[stored_key] = await self._repository.pin(
            self._lease, stored_key, shared, within=self._within
        )
        return self._pins[stored_key]

    @override
    async def put(self, key: SelectionKey, value: JsonObject, source: SelectionSource) -> JsonObject:
        def is_readable(shared: JsonObject) -> bool:
            return selection_from_json(shared, key) is not None

        stored_key = _stored_key(key)
        preferred = None if source is SelectionSource.FALLBACK else is_readable
        self._pins[stored_key] = await self._repository.pin(
            self._lease, stored_key, value, shared_if=preferred, within=self._within
        )
        return self._pins[stored_key]


class InheritedSelections(SelectionRecords):
    """The criteria that another job has judged by, then those of this one, which pins them all."""

    def __init__(self, own: SelectionRecords, pins: Mapping[StoredSelectionKey, JsonObject]) -> None:
        """``own`` behind the ``pins`` of the other job."""
        self._own = own
        self._pins = dict(pins)

    @override
    async def get(self, key: SelectionKey) -> JsonObject | None:
        stored_key = _stored_key(key)
        inherited = self._pins.get(stored_key)
        if inherited is None:
            return await self._own.get(key)
        pinned = await self._own.put(key, inherited, SelectionSource.FALLBACK)
        self._pins.pop(stored_key, None)
        return pinned

    @override
    async def put(self, key: SelectionKey, value: JsonObject, source: SelectionSource) -> JsonObject:
        return await self._own.put(key, value, source)


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


def _stored_key(key: SelectionKey) -> StoredSelectionKey:
    return StoredSelectionKey(
        query_sha256=key.query_sha256,
        selector_model=key.selector_model,
        template_version=key.template_version,
    )
