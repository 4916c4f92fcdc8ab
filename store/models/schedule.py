"""Schedules: jobs that are made again and again."""

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class Schedule(Base):
    """One schedule. ``due_at`` is when it is looked at next; null while it is off.

    Whoever makes its job moves ``due_at`` on in the same transaction, so that none is made twice or lost.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("status IN ('on', 'off')", name="status"),
        Index(None, "due_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    status: Mapped[str] = mapped_column(default="on")
    request: Mapped[StoredObject] = mapped_column(StoredJson)
    trigger: Mapped[StoredObject] = mapped_column(StoredJson)
    due_at: Mapped[float | None]
    last_job_id: Mapped[str | None]
    last_started_at: Mapped[float | None]
    note: Mapped[str | None]
    created_by: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=db_now())
