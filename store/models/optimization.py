"""Optimizations: the unit of work, with its lease."""

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class Optimization(Base):
    """One optimization. ``fence`` grows with each owner; what an older owner writes is refused.

    ``kind`` says what it makes better: a prompt, or the answers of an example bank, which has no target.
    """

    __tablename__ = "optimizations"
    __table_args__ = (
        CheckConstraint(
            "status IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')", name="status"
        ),
        Index(None, "created_at", "id"),
        Index(None, "status", "created_at"),
        Index(None, "kind", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(default="prompt", server_default=text("'prompt'"))
    spec: Mapped[StoredObject] = mapped_column(StoredJson)
    target: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    owner: Mapped[str | None]
    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[float | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    next_seq: Mapped[int] = mapped_column(default=1)
    error: Mapped[StoredObject | None] = mapped_column(StoredJson)
    result: Mapped[StoredObject | None] = mapped_column(StoredJson)
    elapsed_seconds: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float] = mapped_column(default=db_now())
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
