"""Datasets: uploaded sets of queries."""

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base


class Dataset(Base):
    """A named set of queries; the same content under the same name is the same dataset."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("name", "sha256"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    sha256: Mapped[str]
    query_count: Mapped[int]
    at: Mapped[float] = mapped_column(default=db_now())
