"""Where labels point now, each with the move that brought it there."""

from sqlalchemy import func, select

from store.connections import Database
from store.models.label_move import LabelMove
from store.models.prompt_label import PromptLabel
from store.models.prompt_version import PromptVersion
from store.records.prompts import LabelState
from store.repositories.prompt_rows import to_label, to_move


class LabelStateRepository:
    """Reads what ``PromptRepository`` has written; what is read grows with the labels, not their moves."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def of(self, model: str, *, after: str | None = None, limit: int) -> tuple[LabelState, ...]:
        """The labels of ``model`` by name: those after the label ``after``, ``limit`` at most."""
        last = (
            select(func.max(LabelMove.id))
            .where(LabelMove.model == PromptLabel.model, LabelMove.label == PromptLabel.label)
            .correlate(PromptLabel)
            .scalar_subquery()
        )
        statement = (
            select(PromptLabel, PromptVersion.number, LabelMove)
            .join(PromptVersion, PromptVersion.id == PromptLabel.version_id)
            .join(LabelMove, LabelMove.id == last)
            .where(PromptLabel.model == model)
        )
        if after is not None:
            statement = statement.where(PromptLabel.label > after)
        async with self._db.read() as session:
            rows = await session.execute(statement.order_by(PromptLabel.label).limit(limit))
            return tuple(
                LabelState(label=to_label(label), number=number, last_move=to_move(move))
                for label, number, move in rows
            )
