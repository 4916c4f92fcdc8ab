"""What an optimization's calls have cost, from the ledger."""

from sqlalchemy import func, select

from store.connections import Database
from store.models.model_call import ModelCall
from store.records.calls import CallSpend


class SpendRepository:
    """Sums over the call ledger; a call under way is counted once it ends."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def by_role(self, optimization_id: str) -> dict[str, CallSpend]:
        """What each role's calls have cost so far.

        A call whose end nobody saw counts with its estimate once another run has found it so.
        """
        statement = (
            select(
                ModelCall.role,
                func.sum(ModelCall.calls),
                func.sum(ModelCall.unknown_calls),
                func.sum(ModelCall.prompt_tokens),
                func.sum(ModelCall.completion_tokens),
                func.sum(ModelCall.cost),
            )
            .where(ModelCall.optimization_id == optimization_id)
            .group_by(ModelCall.role)
            .order_by(ModelCall.role)
        )
        async with self._db.read() as session:
            rows = await session.execute(statement)
            return {
                role: CallSpend(
                    calls=int(calls) + int(unknown),
                    prompt_tokens=int(prompt_tokens),
                    completion_tokens=int(completion_tokens),
                    cost=float(cost),
                    unknown_calls=int(unknown),
                )
                for role, calls, unknown, prompt_tokens, completion_tokens, cost in rows
            }
