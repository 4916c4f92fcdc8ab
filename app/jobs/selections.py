"""What a job judges each query by: the port of ``rewards`` on the store's repository."""

import asyncio
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Final

from typing_extensions import override

from optimizer.types import JsonObject
from rewards.selection_json import selection_from_json
from rewards.selector import query_sha256
from rewards.types import SelectionKey, SelectionRecords, SelectionSource
from store.records.optimizations import Lease
from store.repositories.selections import LedgerTransactions, SelectionRepository, Usable
from store.repositories.selections import SelectionKey as StoredSelectionKey

_AT_ONCE: Final = 200
_ABSENT_SECONDS: Final = 1.0
"""What no job has shared so long ago is looked for again: another process may have chosen meanwhile."""


class ReplayedSelections(SelectionRecords):
    """The criteria that the replayed job has judged by; nothing is added to what is shared."""

    def __init__(self, pins: Mapping[StoredSelectionKey, JsonObject]) -> None:
        """The selections in ``pins``."""
        self._pins = dict(pins)

    @override
    def expect(self, texts: Iterable[str]) -> None:
        """Nothing to look up: all is at hand."""

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
        ledger: LedgerTransactions | None = None,
    ) -> None:
        """The selections in ``repository`` of the job under ``lease``.

        Args:
            repository: where all selections are.
            lease: the job's.
            pins: what it has pinned so far; nobody else can pin for it.
            ledger: transactions after all answers so far, those of the selector among them; None where the
                answers are on no record.
        """
        self._repository = repository
        self._lease = lease
        self._pins = pins
        self._ledger = ledger
        self._expected: tuple[str, ...] = ()
        self._places: dict[str, int] = {}
        self._shared: dict[StoredSelectionKey, JsonObject] = {}
        self._absent_since: dict[StoredSelectionKey, float] = {}
        self._reading = asyncio.Lock()

    @classmethod
    async def open(
        cls, repository: SelectionRepository, lease: Lease, *, ledger: LedgerTransactions | None = None
    ) -> "JobSelections":
        """The selections of the job under ``lease``, with those that earlier attempts have pinned."""
        pins = await repository.pins(lease.optimization_id)
        return cls(repository, lease, pins, ledger=ledger)

    @override
    def expect(self, texts: Iterable[str]) -> None:
        self._expected = tuple(dict.fromkeys(query_sha256(text) for text in texts))
        self._places = {sha: place for place, sha in enumerate(self._expected)}

    @override
    async def get(self, key: SelectionKey) -> JsonObject | None:
        stored_key = _stored_key(key)
        if stored_key in self._pins:
            return self._pins[stored_key]
        is_readable = partial(_is_readable, key)
        shared = await self._find(stored_key)
        if shared is None or not is_readable(shared):
            return None
        # whoever decided on it may not have stored it yet, and may lose its lease before
        is_stored = self._repository.decided(stored_key) is None
        return await self._pin(stored_key, shared, None if is_stored else is_readable)

    @override
    async def put(self, key: SelectionKey, value: JsonObject, source: SelectionSource) -> JsonObject:
        shared_if = None if source is SelectionSource.FALLBACK else partial(_is_readable, key)
        return await self._pin(_stored_key(key), value, shared_if)

    async def _pin(
        self, key: StoredSelectionKey, selection: JsonObject, shared_if: Usable | None = None
    ) -> JsonObject:
        if key in self._pins:  # by somebody who has asked for it at the same time
            return self._pins[key]
        decided = selection if shared_if is None else self._repository.decide(key, selection, shared_if)
        if decided is not None and self._ledger is not None:
            self._repository.pin_with(self._ledger, self._lease, key, decided, share=shared_if is not None)
            return self._pins.setdefault(key, decided)
        pinned = await self._repository.pin(
            self._lease,
            key,
            selection if decided is None else decided,
            shared_if=shared_if,
            ledger=self._ledger,
        )
        return self._pins.setdefault(key, pinned)

    async def _find(self, key: StoredSelectionKey) -> JsonObject | None:
        """What is shared under ``key``, looked up together with what else is expected."""
        async with self._reading:
            known = self._repository.decided(key) or self._shared.get(key)
            if known is not None or not self._is_due(key):
                return known
            began = time.monotonic()
            keys = self._due_with(key)
            found = await self._repository.find_all(keys)
            self._shared |= found
            self._absent_since |= dict.fromkeys(keys, began)
            return found.get(key)

    def _is_due(self, key: StoredSelectionKey) -> bool:
        return time.monotonic() - self._absent_since.get(key, -math.inf) >= _ABSENT_SECONDS

    def _due_with(self, key: StoredSelectionKey) -> Sequence[StoredSelectionKey]:
        """``key``, and the nearest expected ones of its kind that are not known."""
        place = self._places.get(key.query_sha256, 0)
        nearest = chain(self._expected[place:], self._expected[:place])
        others = (replace(key, query_sha256=sha) for sha in nearest if sha != key.query_sha256)
        due = (other for other in others if other not in self._pins and other not in self._shared)
        return [key, *islice(due, _AT_ONCE - 1)]


class InheritedSelections(SelectionRecords):
    """The criteria that another job has judged by, then those of this one, which pins them all."""

    def __init__(self, own: SelectionRecords, pins: Mapping[StoredSelectionKey, JsonObject]) -> None:
        """``own`` behind the ``pins`` of the other job."""
        self._own = own
        self._pins = dict(pins)

    @override
    def expect(self, texts: Iterable[str]) -> None:
        self._own.expect(texts)

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


def _is_readable(key: SelectionKey, shared: JsonObject) -> bool:
    return selection_from_json(shared, key) is not None


def _stored_key(key: SelectionKey) -> StoredSelectionKey:
    return StoredSelectionKey(
        query_sha256=key.query_sha256,
        selector_model=key.selector_model,
        template_version=key.template_version,
    )
