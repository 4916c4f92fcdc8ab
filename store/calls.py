"""The call ledger: an intent before each model call and its result after, so that none is paid for twice.

Many calls are in flight at once; ``GroupCommits`` writes what all of them have to write.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import Connection, Row, select, update

from store.call_writes import Accompanied, CallWrite, Completed, Decided, Failed, Intended
from store.clock import db_now
from store.compression import decompress
from store.errors import ConflictError, LostLeaseError
from store.fencing import held_seq
from store.group_commits import GroupCommits
from store.json_values import JsonValue, quick_json
from store.models.model_call import ModelCall
from store.models.optimization_decision import OptimizationDecision
from store.records.calls import CallSpend, RecordedCall
from store.records.optimizations import Lease
from store.repositories.recorded_calls import RecordedCalls, RecordedCallsRepository

T = TypeVar("T")
_Row: TypeAlias = Row[*tuple[Any, ...]]

_NOTHING: Final = CallSpend()


class CallLedger(GroupCommits):
    """The ledger of one process. Use as ``async with CallLedger(db) as ledger``."""

    async def open(self, lease: Lease) -> "LedgerScope":
        """Begin a run: load what earlier runs of the optimization have finished.

        Calls that an earlier owner had begun and nobody saw the end of become ``unknown``; the estimates made
        for them count as spent.

        Raises:
            LostLeaseError: the lease is not ours.
        """
        opened = await self._db.write(lambda connection: _open(connection, lease))
        if opened is None:
            raise LostLeaseError(lease.optimization_id, lease.fence)
        return LedgerScope(self, lease, *opened)

    async def recorded(self, optimization_id: str) -> RecordedCalls:
        """The finished calls and the decisions of an optimization, for those who do not own it."""
        return await RecordedCallsRepository(self._db).load(optimization_id)


class LedgerScope:
    """The ledger of one run of an optimization. Get it from ``CallLedger.open``."""

    def __init__(
        self, commits: GroupCommits, lease: Lease, rows: Sequence[_Row], decisions: Mapping[str, int]
    ) -> None:
        self._commits = commits
        self._lease = lease
        self._roles = {row.key: row.role for row in rows}
        self._spend = {row.key: _spend(row) for row in rows}
        self._responses: dict[str, str | bytes] = {
            row.key: row.response for row in rows if row.response is not None
        }
        self._told = 0
        self._heard = 0
        self._settling: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._failure: Exception | None = None
        self._decisions = MappingProxyType(decisions)
        self._recorded_spend = MappingProxyType(self._by_role(self._spend))

    @property
    def recorded_spend(self) -> Mapping[str, CallSpend]:
        """What earlier runs have spent, by role."""
        return self._recorded_spend

    @property
    def decisions(self) -> Mapping[str, int]:
        """What earlier runs have decided, by name."""
        return self._decisions

    def decide(self, name: str, value: int) -> None:
        """Record a decision, in place of an earlier one of this name.

        It does not wait, as ``complete``: it is durable before any later intent is.

        Raises:
            StoreError: the ledger is closed.
        """
        self._tell(Decided(lease=self._lease, key=name, value=value))

    def finished_spend(self) -> Mapping[str, CallSpend]:
        """What the finished calls have cost, all attempts at each of them included, by role."""
        return self._by_role(self._responses)

    def totals(self) -> Mapping[str, CallSpend]:
        """What all runs have spent up to now, by role: finished, failed and unknown calls."""
        return self._by_role(self._spend)

    def find(self, key: str) -> RecordedCall | None:
        """The finished call ``key``, or None where it has to be made."""
        kept = self._responses.get(key)
        if kept is None:
            return None
        text = kept if isinstance(kept, str) else decompress(kept)
        return RecordedCall(response=json.loads(text), spend=self._spend[key])

    async def intend(
        self, key: str, *, role: str, model: str, estimate: CallSpend = _NOTHING, again: bool = False
    ) -> None:
        """Record that the call ``key`` is about to be made. Make it after this returns.

        Args:
            key: hash of everything that the answer depends on.
            role: what the model is used for.
            model: which model.
            estimate: the most that one request can cost, counted as spent where nobody sees the call's end.
            again: forget the response of a finished call, which the caller cannot read, and make the call
                again; what it has cost stays.

        Raises:
            ConflictError: the call is finished: ``find`` has its response.
            LostLeaseError: the lease is lost; the call must not be made.
        """
        reopens = key in self._responses
        if reopens and not again:
            raise ConflictError(f"call {key} is finished")
        self._refuse_after_failure()
        self._responses.pop(key, None)
        self._roles[key] = role  # also where the caller is cancelled meanwhile: the line is on its way
        await self._commits.commit(
            Intended(lease=self._lease, key=key, role=role, model=model, estimate=estimate, reopens=reopens)
        )
        # what was submitted before it may have been in a batch of its own, which was lost
        self._refuse_after_failure()

    def complete(self, key: str, response: JsonValue, spend: CallSpend) -> None:
        """Record the response to the call ``key``, and what this attempt has cost.

        It does not wait: the response is durable before any later intent is, so nothing that depends on it
        can be on record without it. Where it cannot be recorded, the next intent and ``flush`` raise. Where
        the key was answered already, the first response stays; the spend is added all the same.

        Raises:
            ConflictError: it was never intended.
            ValueError: the response is not JSON.
            StoreError: the ledger is closed.
        """
        self._require_intent(key)
        text = quick_json(response)
        self._tell(Completed(lease=self._lease, key=key, response=text, spend=spend))
        self._remember(key, spend, text)

    def adopt(self, key: str, response: JsonValue, *, role: str, model: str) -> None:
        """Record a response that another optimization has paid for, as the answer to the call ``key``.

        Intent and response are written together, and cost nothing. It does not wait, as ``complete``.

        Raises:
            ConflictError: the call is finished.
            StoreError: the ledger is closed.
        """
        if key in self._responses:
            raise ConflictError(f"call {key} is finished")
        text = quick_json(response)
        self._roles[key] = role
        self._tell(
            Intended(lease=self._lease, key=key, role=role, model=model, estimate=CallSpend(), reopens=False)
        )
        self._tell(Completed(lease=self._lease, key=key, response=text, spend=CallSpend()))
        self._remember(key, CallSpend(), text)

    async def flush(self) -> None:
        """Wait until every response and decision is durable.

        Raises:
            LostLeaseError: the lease was lost before all were recorded.
            StoreUnavailableError: some could not be recorded.
        """
        if self._heard < self._told:
            self._commits.hurry()
        await self.settled()

    async def settled(self) -> None:
        """As ``flush``, for those who have time: committed when it would be anyway, instead of at once.

        Raises:
            LostLeaseError: the lease was lost before all were recorded.
            StoreUnavailableError: some could not be recorded.
        """
        if self._heard < self._told:
            settled = asyncio.get_running_loop().create_future()
            self._settling.append((self._told, settled))
            await settled
        self._refuse_after_failure()

    async def within(self, place: str, work: Callable[[Connection], T], /) -> T:
        """Do ``work`` in a transaction, after all answers and decisions so far: with them or later.

        Args:
            place: of work in one transaction, that with the least comes first.
            work: what to do. Where it raises, others' writes are lost with it.

        Raises:
            LostLeaseError: the lease is lost; nothing was done.
            StoreUnavailableError: it could not be done.
        """
        self._refuse_after_failure()
        done: list[T] = []
        await self._commits.commit(
            Accompanied(lease=self._lease, key=place, work=lambda connection: done.append(work(connection)))
        )
        self._refuse_after_failure()
        return done[0]

    def accompany(self, place: str, work: Callable[[Connection], object], /) -> None:
        """As ``within``, without waiting, as ``complete``: it is durable before any later intent is.

        Raises:
            StoreError: the ledger is closed.
        """
        self._tell(Accompanied(lease=self._lease, key=place, work=work))

    async def fail(self, key: str, spend: CallSpend) -> None:
        """Record that the call ``key`` ended without a response, and what this attempt has cost.

        It may be intended again.

        Raises:
            ConflictError: it was never intended.
            LostLeaseError: the lease is lost.
        """
        self._refuse_after_failure()
        self._require_intent(key)
        await self._commits.commit(
            Failed(lease=self._lease, key=key, spend=spend),
            remember=lambda: self._remember(key, spend, None),
        )

    def _tell(self, write: CallWrite) -> None:
        self._commits.tell(write, self._hear)
        self._told += 1

    def _hear(self, error: Exception | None) -> None:
        """What was told is heard of in the same order."""
        self._heard += 1
        self._failure = self._failure or error
        while self._settling and self._settling[0][0] <= self._heard:
            _, settled = self._settling.popleft()
            if not settled.done():  # whoever waited may have been cancelled
                settled.set_result(None)

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _require_intent(self, key: str) -> None:
        if key not in self._roles:
            raise ConflictError(f"call {key} was never intended")

    def _remember(self, key: str, spend: CallSpend, response: str | None) -> None:
        before = self._spend.get(key)
        self._spend[key] = spend if before is None else before + spend
        if response is not None:
            self._responses.setdefault(key, response)

    def _by_role(self, keys: Iterable[str]) -> dict[str, CallSpend]:
        totals: dict[str, CallSpend] = {}
        for key in keys:
            role = self._roles[key]
            totals[role] = totals.get(role, CallSpend()) + self._spend[key]
        return totals


def _open(connection: Connection, lease: Lease) -> tuple[Sequence[_Row], dict[str, int]] | None:
    """The calls and the decisions of earlier runs, those calls settled whose end nobody saw."""
    if held_seq(connection, lease, shared=True) is None:
        return None
    of_this = ModelCall.scope == lease.optimization_id
    connection.execute(
        update(ModelCall)
        .where(of_this, ModelCall.status == "open", ModelCall.fence < lease.fence)
        .values(
            status="unknown",
            unknown_calls=ModelCall.unknown_calls + 1,
            prompt_tokens=ModelCall.prompt_tokens + ModelCall.estimated_prompt_tokens,
            completion_tokens=ModelCall.completion_tokens + ModelCall.estimated_completion_tokens,
            cost=ModelCall.cost + ModelCall.estimated_cost,
            finished_at=db_now(),
        )
    )
    rows = connection.execute(select(ModelCall).where(of_this)).all()
    decisions = connection.execute(
        select(OptimizationDecision.name, OptimizationDecision.value).where(
            OptimizationDecision.optimization_id == lease.optimization_id
        )
    )
    return rows, {row.name: row.value for row in decisions}


def _spend(row: _Row) -> CallSpend:
    return CallSpend(
        calls=row.calls + row.unknown_calls,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        cost=row.cost,
        unknown_calls=row.unknown_calls,
    )
