"""Optimizations: the unit of work, with its lease."""

from sqlalchemy import CheckConstraint, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class Optimization(Base):
    """One optimization. ``fence`` grows with each owner; what an older owner writes is refused.

    ``kind`` says what it makes better: a prompt, or the answers of an example bank, which has no target.
    ``status`` is written by ``store.job_states`` alone. A deleted one keeps its row, emptied, because prompt
    versions refer to it and never change.
    """

    __tablename__ = "optimizations"
    __table_args__ = (
        CheckConstraint(
            "status IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')", name="status"
        ),
        Index(None, "created_at", "id"),
        Index(None, "status", "created_at"),
        Index(None, "kind", "created_at", "id"),
        Index(None, "kind", "idempotency_key", unique=True),
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
    priority: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    pause_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    paused_because: Mapped[StoredObject | None] = mapped_column(StoredJson)
    probe_at: Mapped[float | None]
    limits: Mapped[StoredObject | None] = mapped_column(StoredJson)
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[str | None]
    derived_from: Mapped[str | None]
    schedule_id: Mapped[str | None]
    spec_version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    software: Mapped[str | None]
    next_seq: Mapped[int] = mapped_column(default=1)
    error: Mapped[StoredObject | None] = mapped_column(StoredJson)
    result: Mapped[StoredObject | None] = mapped_column(StoredJson)
    elapsed_seconds: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float] = mapped_column(default=db_now())
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    deleted_at: Mapped[float | None]
