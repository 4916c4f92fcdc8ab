"""Rounds: the ranking after each round of a search."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class OptimizationRound(Base):
    """One finished round."""

    __tablename__ = "optimization_rounds"

    optimization_id: Mapped[str] = mapped_column(ForeignKey("optimizations.id"), primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    fence: Mapped[int]
    ranking: Mapped[list[StoredObject]] = mapped_column(StoredJson)
    best_candidate_id: Mapped[str | None]
    best_reward: Mapped[float | None]
    spend: Mapped[StoredObject] = mapped_column(StoredJson)
    rounds_left: Mapped[int]
    at: Mapped[float] = mapped_column(default=db_now())
