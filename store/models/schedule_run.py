"""What has come of the times at which schedules were due."""

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base


class ScheduleRun(Base):
    """One time: a job was made, or why not."""

    __tablename__ = "schedule_runs"
    __table_args__ = (CheckConstraint("outcome IN ('started', 'skipped', 'failed')", name="outcome"),)

    schedule_id: Mapped[str] = mapped_column(ForeignKey("schedules.id"), primary_key=True)
    due_at: Mapped[float] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    job_id: Mapped[str | None]
    reason: Mapped[str | None]
    at: Mapped[float] = mapped_column(default=db_now())
