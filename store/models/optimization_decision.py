"""What attempts at an optimization have decided."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base


class OptimizationDecision(Base):
    """A decision that no replay of the call ledger would make again, such as one by the budget."""

    __tablename__ = "optimization_decisions"

    optimization_id: Mapped[str] = mapped_column(ForeignKey("optimizations.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]
    at: Mapped[float] = mapped_column(default=db_now())
