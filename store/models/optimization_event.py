"""Events: what an optimization announced, in order."""

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class OptimizationEvent(Base):
    """One event. ``seq`` counts 1, 2, 3, ... within an optimization, in the order of commits."""

    __tablename__ = "optimization_events"
    __table_args__ = (UniqueConstraint("optimization_id", "key"),)

    optimization_id: Mapped[str] = mapped_column(ForeignKey("optimizations.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str]
    type: Mapped[str]
    body: Mapped[StoredObject] = mapped_column(StoredJson)
    at: Mapped[float] = mapped_column(default=db_now())
