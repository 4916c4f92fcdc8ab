"""The lines of the call ledger, and writing many of them in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import Connection, bindparam, case, func, update
from sqlalchemy.dialects import postgresql, sqlite

from store.clock import db_now
from store.compression import compress
from store.fencing import held_seq
from store.models.model_call import ModelCall
from store.models.optimization_decision import OptimizationDecision
from store.records.calls import CallSpend
from store.records.optimizations import Lease
from store.statements import ObjectStatement

UpsertT = TypeVar("UpsertT", postgresql.Insert, sqlite.Insert)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallWrite:
    """One line."""

    lease: Lease
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Intended(CallWrite):
    """The call is about to be made; ``estimate`` is the most that one request for it can cost.

    It is refused silently where the call is finished, unless it ``reopens`` the call without its response.
    """

    role: str
    model: str
    estimate: CallSpend
    reopens: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed(CallWrite):
    """The call was answered; ``response`` is JSON, which the writer compresses."""

    response: str
    spend: CallSpend


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(CallWrite):
    """The call ended without an answer."""

    spend: CallSpend


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided(CallWrite):
    """Something was decided: ``value`` under the name ``key``, in place of an earlier value."""

    value: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Accompanied(CallWrite):
    """More ``work`` in the same transaction, after all calls. Where it raises, nothing at all is written.

    Work is done in the order of ``key``: rows that several ledgers write are then locked in one order.
    """

    work: Callable[[Connection], object]


class _Compressed(NamedTuple):
    """An answer as its row has it."""

    write: Completed
    response: bytes


class _Reopened(CallWrite):
    """The response of a finished call is forgotten."""


_PLACES: Final[dict[type[CallWrite], int]] = {Intended: 0, Failed: 1, Completed: 2}
"""The order in which the kinds of lines of calls are written."""


def write_calls(connection: Connection, writes: Sequence[CallWrite]) -> frozenset[Lease]:
    """Write all of ``writes`` whose lease is held.

    Returns:
        The leases that are lost: their lines were not written.
    """
    # compressed before any row is locked
    answers = {
        id(write): _Compressed(write, compress(write.response))
        for write in writes
        if isinstance(write, Completed)
    }
    # rows are locked in one order everywhere, or two ledgers could wait for each other
    leases = sorted({write.lease for write in writes}, key=lambda lease: lease.optimization_id)
    lost = frozenset(lease for lease in leases if held_seq(connection, lease, shared=True) is None)
    held = [write for write in writes if write.lease not in lost]
    for run in _runs(held):
        _write_run(connection, run, answers)
    more = [write for write in held if isinstance(write, Accompanied)]
    for write in sorted(more, key=lambda write: write.key):
        write.work(connection)
    return lost


def _runs(writes: Sequence[CallWrite]) -> list[list[CallWrite]]:
    """``writes`` in runs that may each be written kind by kind: what happens to a call stays in its order."""
    runs: list[list[CallWrite]] = [[]]
    latest: dict[tuple[str, str], int] = {}
    for write in writes:
        place = _PLACES.get(type(write))
        if place is not None:
            call = write.lease.optimization_id, write.key
            if latest.get(call, place) > place:
                runs.append([])
                latest.clear()
            latest[call] = place
        runs[-1].append(write)
    return runs


def _write_run(connection: Connection, run: Sequence[CallWrite], answers: Mapping[int, _Compressed]) -> None:
    intents = [write for write in run if isinstance(write, Intended)]
    objects: tuple[tuple[type[CallWrite], Sequence[object]], ...] = (
        (Decided, [write for write in run if isinstance(write, Decided)]),
        (_Reopened, [write for write in intents if write.reopens]),
        (Intended, intents),
        (Failed, [write for write in run if isinstance(write, Failed)]),
        (Completed, [answers[id(write)] for write in run if isinstance(write, Completed)]),
    )
    for kind, of_kind in objects:
        _STATEMENTS[kind].execute_for(connection, of_kind)


def _intend(insert: Callable[[type[ModelCall]], UpsertT]) -> UpsertT:
    """An intent; the columns that hold spend stay as they are, since attempts add up."""
    statement = insert(ModelCall).values(
        status="open", calls=0, unknown_calls=0, prompt_tokens=0, completion_tokens=0, cost=0.0
    )
    return statement.on_conflict_do_update(
        index_elements=["scope", "key"],
        set_={
            "status": "open",
            "finished_at": None,
            "fence": statement.excluded.fence,
            "model": statement.excluded.model,
            "estimated_prompt_tokens": statement.excluded.estimated_prompt_tokens,
            "estimated_completion_tokens": statement.excluded.estimated_completion_tokens,
            "estimated_cost": statement.excluded.estimated_cost,
        },
        where=ModelCall.status != "done",
    )


def _decide(insert: Callable[[type[OptimizationDecision]], UpsertT]) -> UpsertT:
    statement = insert(OptimizationDecision)
    return statement.on_conflict_do_update(
        index_elements=["optimization_id", "name"],
        set_={"value": statement.excluded.value, "at": statement.excluded.at},
    )


_OF_KEY: Final = update(ModelCall).where(
    ModelCall.scope == bindparam("of_scope"), ModelCall.key == bindparam("of_key")
)
_REOPEN: Final = _OF_KEY.values(status="open", response=None)
_ADD_SPEND: Final = _OF_KEY.values(
    calls=ModelCall.calls + bindparam("more_calls"),
    prompt_tokens=ModelCall.prompt_tokens + bindparam("more_prompt_tokens"),
    completion_tokens=ModelCall.completion_tokens + bindparam("more_completion_tokens"),
    cost=ModelCall.cost + bindparam("more_cost"),
    finished_at=db_now(),
)
# Statements are built once: there is a batch for every few calls.
# an answer that came in another attempt stays an answer
_FAIL: Final = _ADD_SPEND.values(status=case((ModelCall.status == "done", "done"), else_="failed"))
_COMPLETE: Final = _ADD_SPEND.values(
    status="done", response=func.coalesce(ModelCall.response, bindparam("new_response"))
)


_OF_CALL: Final = {"of_scope": "lease.optimization_id", "of_key": "key"}
_OF_SPEND: Final = {
    "more_calls": "spend.calls",
    "more_prompt_tokens": "spend.prompt_tokens",
    "more_completion_tokens": "spend.completion_tokens",
    "more_cost": "spend.cost",
}
_OF_INTENT: Final = {
    "scope": "lease.optimization_id",
    "key": "key",
    "optimization_id": "lease.optimization_id",
    "fence": "lease.fence",
    "role": "role",
    "model": "model",
    "estimated_prompt_tokens": "estimate.prompt_tokens",
    "estimated_completion_tokens": "estimate.completion_tokens",
    "estimated_cost": "estimate.cost",
}
_OF_DECISION: Final = {"optimization_id": "lease.optimization_id", "name": "key", "value": "value"}
_OF_ANSWER: Final = {name: f"write.{path}" for name, path in {**_OF_CALL, **_OF_SPEND}.items()}
_STATEMENTS: Final[dict[type[CallWrite], ObjectStatement]] = {
    Decided: ObjectStatement(_decide(postgresql.insert), _OF_DECISION, on_sqlite=_decide(sqlite.insert)),
    _Reopened: ObjectStatement(_REOPEN, _OF_CALL),
    Intended: ObjectStatement(_intend(postgresql.insert), _OF_INTENT, on_sqlite=_intend(sqlite.insert)),
    Failed: ObjectStatement(_FAIL, {**_OF_CALL, **_OF_SPEND}),
    Completed: ObjectStatement(_COMPLETE, {**_OF_ANSWER, "new_response": "response"}),
}
