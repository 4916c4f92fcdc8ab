"""What the calls of ended optimizations amount to: it stays when the calls themselves are dropped."""

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class CallSummary(Base):
    """The sums of one optimization. ``dropped_at`` is null while its calls are still there."""

    __tablename__ = "call_summaries"
    __table_args__ = (Index(None, "dropped_at"),)

    optimization_id: Mapped[str] = mapped_column(ForeignKey("optimizations.id"), primary_key=True)
    calls: Mapped[int]
    bytes: Mapped[int]
    spend: Mapped[StoredObject] = mapped_column(StoredJson)
    at: Mapped[float] = mapped_column(default=db_now())
    dropped_at: Mapped[float | None]
