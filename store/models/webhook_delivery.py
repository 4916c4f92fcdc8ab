"""Deliveries: what a webhook has to be told, and how that went."""

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base


class WebhookDelivery(Base):
    """One message. It is written in the transaction of the change that it tells.

    ``due_at`` is null once nobody will try (again). Whoever claims it moves ``due_at`` on by the time of a
    lease and raises ``fence``: if they die, it is due again; if they are late, what they report is ignored.
    There is no foreign key: a job must not fail to end because a webhook is being deleted.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'delivered', 'failed')", name="status"),
        Index(None, "due_at"),
        Index(None, "webhook_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook_id: Mapped[str]
    event: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str]
    status: Mapped[str] = mapped_column(default="waiting")
    fence: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[float | None] = mapped_column(default=db_now())
    claimed_at: Mapped[float | None]
    queued_at: Mapped[float] = mapped_column(default=db_now())
    created_at: Mapped[float] = mapped_column(default=db_now())
    finished_at: Mapped[float | None]
    response_status: Mapped[int | None]
    response_text: Mapped[str | None]
    error: Mapped[str | None]
