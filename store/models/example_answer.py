"""Answers that were tried for the examples of a bank, with their rewards."""

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class ExampleAnswer(Base):
    """One answer to the query of one example. It has a reward, or the reason why it has none."""

    __tablename__ = "example_answers"
    __table_args__ = (CheckConstraint("(reward IS NULL) <> (unscored_reason IS NULL)", name="scored_or_not"),)

    optimization_id: Mapped[str] = mapped_column(ForeignKey("optimizations.id"), primary_key=True)
    example_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    parent_id: Mapped[str | None]
    round: Mapped[int]
    text: Mapped[str]
    rationale: Mapped[str]
    reward: Mapped[float | None]
    unscored_reason: Mapped[str | None]
    criteria: Mapped[list[StoredObject]] = mapped_column(StoredJson)
    selection_rationale: Mapped[str]
    models: Mapped[StoredObject] = mapped_column(StoredJson)
    at: Mapped[float] = mapped_column(default=db_now())
