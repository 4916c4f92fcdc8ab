"""The cache of criterion selections."""

from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class CriterionSelection(Base):
    """Which criteria a selector chose for a query; the query is kept as a hash."""

    __tablename__ = "criterion_selections"

    query_sha: Mapped[str] = mapped_column(primary_key=True)
    selector_model: Mapped[str] = mapped_column(primary_key=True)
    template_version: Mapped[str] = mapped_column(primary_key=True)
    selection: Mapped[StoredObject] = mapped_column(StoredJson)
    at: Mapped[float] = mapped_column(default=db_now())
