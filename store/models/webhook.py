"""Webhooks: who is told of changes over HTTP."""

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson


class Webhook(Base):
    """One receiver. ``key_fingerprint`` tells which secret it was given; the secret itself is stored nowhere.

    ``events`` are the names that it is told; ``target`` narrows them down to the jobs of one model.
    """

    __tablename__ = "webhooks"
    __table_args__ = (CheckConstraint("status IN ('active', 'disabled')", name="status"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(StoredJson)
    target: Mapped[str | None]
    key_fingerprint: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    disabled_because: Mapped[str | None]
    created_at: Mapped[float] = mapped_column(default=db_now())
