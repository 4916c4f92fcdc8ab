"""What an optimization's calls have cost, and how much of the ledger they take."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from sqlalchemy import ColumnElement, Row, func, select

from store.connections import Database, Session
from store.json_values import JsonObject
from store.models.call_summary import CallSummary
from store.models.model_call import ModelCall
from store.records.calls import CallSpend, LedgerShare

ROW_BYTES: Final = 400
"""What a row takes besides its response: key, names, numbers and two index entries; measured."""


class SpendRepository:
    """Sums over the call ledger; a call under way is counted once it ends."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def of(self, optimization_id: str) -> LedgerShare:
        """What the calls of an optimization have cost by role, and what their rows take.

        A call whose end nobody saw counts with its estimate once another run has found it so. What has been
        dropped from the ledger counts as before, but takes nothing.
        """
        async with self._db.read() as session:
            return await share_of(session, optimization_id)

    async def by_role(self, optimization_id: str) -> Mapping[str, CallSpend]:
        """What each role's calls have cost so far; see ``of``."""
        return (await self.of(optimization_id)).by_role


async def share_of(session: Session, optimization_id: str) -> LedgerShare:
    """As ``SpendRepository.of``, within a transaction."""
    summary = await session.get(CallSummary, optimization_id)
    if summary is not None:
        gone = summary.dropped_at is not None
        return LedgerShare(
            by_role=spends_from_json(summary.spend),
            calls=0 if gone else summary.calls,
            bytes=0 if gone else summary.bytes,
            dropped_at=summary.dropped_at,
        )
    statement = (
        select(
            ModelCall.role,
            func.sum(ModelCall.calls),
            func.sum(ModelCall.unknown_calls),
            func.sum(ModelCall.prompt_tokens),
            func.sum(ModelCall.completion_tokens),
            func.sum(ModelCall.cost),
            func.count(),
            stored_bytes(),
        )
        .where(ModelCall.optimization_id == optimization_id)
        .group_by(ModelCall.role)
        .order_by(ModelCall.role)
    )
    rows = (await session.execute(statement)).all()
    return LedgerShare(
        by_role={row[0]: _spend(row) for row in rows},
        calls=sum(int(row[6]) for row in rows),
        bytes=sum(int(row[7]) for row in rows),
    )


def stored_bytes() -> ColumnElement[int]:
    """What rows of the ledger take."""
    return func.sum(func.coalesce(func.length(ModelCall.response), 0) + ROW_BYTES)


def spends_to_json(spends: Mapping[str, CallSpend]) -> JsonObject:
    """Spends by role as JSON."""
    return {role: asdict(spend) for role, spend in spends.items()}


def spends_from_json(stored: JsonObject) -> dict[str, CallSpend]:
    """What ``spends_to_json`` wrote."""
    return {role: CallSpend(**numbers) for role, numbers in stored.items() if isinstance(numbers, dict)}  # type: ignore[arg-type]  # written by the function above


def _spend(row: Row[str, int, int, int, int, float, int, int]) -> CallSpend:
    _, calls, unknown, prompt_tokens, completion_tokens, cost, *_ = row
    return CallSpend(
        calls=int(calls) + int(unknown),
        prompt_tokens=int(prompt_tokens),
        completion_tokens=int(completion_tokens),
        cost=float(cost),
        unknown_calls=int(unknown),
    )
