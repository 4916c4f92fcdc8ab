"""The criterion selections that an optimization judges by."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class OptimizationSelection(Base):
    """What one optimization uses for a query, whatever the shared cache says later."""

    __tablename__ = "optimization_selections"

    optimization_id: Mapped[str] = mapped_column(ForeignKey("optimizations.id"), primary_key=True)
    query_sha: Mapped[str] = mapped_column(primary_key=True)
    selector_model: Mapped[str] = mapped_column(primary_key=True)
    template_version: Mapped[str] = mapped_column(primary_key=True)
    selection: Mapped[StoredObject] = mapped_column(StoredJson)
    at: Mapped[float] = mapped_column(default=db_now())
