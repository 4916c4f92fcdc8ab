"""How served requests ended, counted."""

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base


class TrafficCount(Base):
    """Requests for one model and prompt version within a few minutes; ``version_id`` is empty without one."""

    __tablename__ = "traffic_counts"
    __table_args__ = (Index(None, "bucket"),)

    model: Mapped[str] = mapped_column(primary_key=True)
    version_id: Mapped[str] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    answered: Mapped[int]
    truncated: Mapped[int]
    refused: Mapped[int]
    empty: Mapped[int]
    upstream_errors: Mapped[int]
