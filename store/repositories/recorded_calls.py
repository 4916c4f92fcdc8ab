"""The finished calls of an optimization, to be read by others than its owner."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from store.compression import decompress
from store.connections import Database, Session
from store.models.model_call import ModelCall
from store.models.optimization_decision import OptimizationDecision
from store.records.calls import CallSpend, RecordedCall


class RecordedCalls:
    """What an optimization has asked and been answered, in memory.

    Attributes:
        models: role to the models that it has asked in it, the last one first.
        decisions: what its attempts have decided, by name.
    """

    def __init__(
        self, rows: Sequence[ModelCall], models: Mapping[str, tuple[str, ...]], decisions: Mapping[str, int]
    ) -> None:
        self.models = models
        self.decisions = decisions
        self._rows = {row.key: row for row in rows}

    def __len__(self) -> int:
        """How many calls were finished."""
        return len(self._rows)

    def find(self, key: str) -> RecordedCall | None:
        """The finished call ``key``, or None."""
        row = self._rows.get(key)
        if row is None or row.response is None:
            return None
        spend = CallSpend(
            calls=row.calls,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            cost=row.cost,
        )
        return RecordedCall(response=json.loads(decompress(row.response)), spend=spend)


class RecordedCallsRepository:
    """Reads call ledgers without owning them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def load(self, optimization_id: str) -> RecordedCalls:
        """All finished calls of an optimization; none where it has made none, or they have been dropped."""
        finished = select(ModelCall).where(ModelCall.scope == optimization_id, ModelCall.status == "done")
        decided = select(OptimizationDecision.name, OptimizationDecision.value).where(
            OptimizationDecision.optimization_id == optimization_id
        )
        async with self._db.read() as session:
            rows = (await session.scalars(finished)).all()
            models = await _models(session, optimization_id)
            decisions = {row.name: row.value for row in await session.execute(decided)}
        return RecordedCalls(rows, models, decisions)

    async def models(self, optimization_id: str) -> Mapping[str, tuple[str, ...]]:
        """Role to the models that an optimization has asked in it, the last one first."""
        async with self._db.read() as session:
            return await _models(session, optimization_id)


async def _models(session: Session, optimization_id: str) -> dict[str, tuple[str, ...]]:
    asked = (
        select(ModelCall.role, ModelCall.model)
        .where(ModelCall.scope == optimization_id)
        .group_by(ModelCall.role, ModelCall.model)
        .order_by(func.max(ModelCall.created_at).desc())
    )
    models: dict[str, tuple[str, ...]] = {}
    for role, model in await session.execute(asked):
        models[role] = (*models.get(role, ()), model)
    return models
