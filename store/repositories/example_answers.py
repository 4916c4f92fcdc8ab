"""The answers that were tried for the examples of a bank."""

from sqlalchemy import func, select

from store.connections import Database
from store.models.example_answer import ExampleAnswer
from store.records.progress import AnswerRecord, ExampleReward


class ExampleAnswerRepository:
    """What ``ProgressLog`` has recorded about example banks."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def answers(
        self, optimization_id: str, *, example_id: str | None = None
    ) -> tuple[AnswerRecord, ...]:
        """The answers, of all examples or of one, by example, round and id."""
        statement = select(ExampleAnswer).where(ExampleAnswer.optimization_id == optimization_id)
        if example_id is not None:
            statement = statement.where(ExampleAnswer.example_id == example_id)
        order = (ExampleAnswer.example_id, ExampleAnswer.round, ExampleAnswer.id)
        async with self._db.read() as session:
            return tuple(_answer(row) for row in await session.scalars(statement.order_by(*order)))

    async def rewards(self, optimization_id: str) -> dict[str, ExampleReward]:
        """How far each example is that has a judged answer."""
        first = func.max(ExampleAnswer.reward).filter(ExampleAnswer.round == 0)
        statement = (
            select(
                ExampleAnswer.example_id,
                first.label("first"),
                func.max(ExampleAnswer.reward).label("best"),
                func.count().label("judged"),
                func.count(ExampleAnswer.unscored_reason).label("unscored"),
            )
            .where(ExampleAnswer.optimization_id == optimization_id)
            .group_by(ExampleAnswer.example_id)
        )
        async with self._db.read() as session:
            rows = await session.execute(statement)
            return {
                row.example_id: ExampleReward(
                    first=row.first, best=row.best, judged=row.judged, unscored=row.unscored
                )
                for row in rows
            }


def _answer(row: ExampleAnswer) -> AnswerRecord:
    return AnswerRecord(
        example_id=row.example_id,
        id=row.id,
        parent_id=row.parent_id,
        round=row.round,
        text=row.text,
        rationale=row.rationale,
        reward=row.reward,
        unscored_reason=row.unscored_reason,
        criteria=tuple(row.criteria),
        selection_rationale=row.selection_rationale,
        models=row.models,
        at=row.at,
    )
