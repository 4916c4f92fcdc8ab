"""The queries of a dataset."""

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base


class DatasetQuery(Base):
    """One query, at its place in the dataset."""

    __tablename__ = "dataset_queries"
    __table_args__ = (UniqueConstraint("dataset_id", "query_id"),)

    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    query_id: Mapped[str]
    text: Mapped[str]
    kind: Mapped[str | None]
