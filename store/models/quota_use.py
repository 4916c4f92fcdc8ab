"""What has been drawn from the quotas of API keys."""

from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base


class QuotaUse(Base):
    """One key's use in one period that began at ``starts_at``; ``micros`` are millionths of the currency."""

    __tablename__ = "quota_uses"

    key_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    period: Mapped[str] = mapped_column(primary_key=True)
    starts_at: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    requests: Mapped[int]
    tokens: Mapped[int]
    micros: Mapped[int]
