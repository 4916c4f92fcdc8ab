"""Candidates: the tree of system prompts of an optimization."""

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base


class Candidate(Base):
    """One system prompt under test. ``kept`` is null until a round has ranked it."""

    __tablename__ = "candidates"
    __table_args__ = (
        ForeignKeyConstraint(
            ["optimization_id", "parent_id"], ["candidates.optimization_id", "candidates.id"]
        ),
        Index(None, "optimization_id", "round", "id"),
    )

    optimization_id: Mapped[str] = mapped_column(ForeignKey("optimizations.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    parent_id: Mapped[str | None]
    round: Mapped[int]
    system_prompt: Mapped[str]
    rationale: Mapped[str]
    template_version: Mapped[str | None]
    kept: Mapped[bool | None]
    dropped_in_round: Mapped[int | None]
    at: Mapped[float] = mapped_column(default=db_now())
