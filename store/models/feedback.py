"""What people say about answers."""

from sqlalchemy import BigInteger, Index, Integer, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base


class Feedback(Base):
    """One rater's last word on one answer; ``settled`` once the answer's own row is there."""

    __tablename__ = "feedback"
    __table_args__ = (Index(None, "settled", "at"), Index(None, "at"))

    token: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    rater: Mapped[str] = mapped_column(primary_key=True)
    key_number: Mapped[int] = mapped_column(Integer)
    score: Mapped[float]
    comment: Mapped[str | None]
    settled: Mapped[bool]
    model: Mapped[str]
    version_id: Mapped[str]
    arm: Mapped[str | None]
    propensity: Mapped[float | None]
    stretch: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[float] = mapped_column(default=db_now())
