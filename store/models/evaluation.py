"""Evaluations: answers and their rewards, with provenance."""

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class Evaluation(Base):
    """A candidate's answer to a query. It has a reward, or the reason why it has none."""

    __tablename__ = "evaluations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["optimization_id", "candidate_id"], ["candidates.optimization_id", "candidates.id"]
        ),
        CheckConstraint("phase IN ('search', 'held_out')", name="phase"),
        CheckConstraint("(reward IS NULL) <> (unscored_reason IS NULL)", name="scored_or_not"),
        Index(None, "optimization_id", "candidate_id"),
        Index(None, "optimization_id", "round", "key"),
    )

    optimization_id: Mapped[str] = mapped_column(ForeignKey("optimizations.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    candidate_id: Mapped[str]
    round: Mapped[int]
    query_id: Mapped[str]
    query: Mapped[str]
    query_kind: Mapped[str | None]
    phase: Mapped[str]
    answer: Mapped[str | None]
    failure: Mapped[str]
    example_ids: Mapped[list[str]] = mapped_column(StoredJson)
    reward: Mapped[float | None]
    unscored_reason: Mapped[str | None]
    criteria: Mapped[list[StoredObject]] = mapped_column(StoredJson)
    selection_rationale: Mapped[str]
    models: Mapped[StoredObject] = mapped_column(StoredJson)
    seed: Mapped[int | None]
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    seconds: Mapped[float]
    at: Mapped[float] = mapped_column(default=db_now())
