"""The audit log of releases."""

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, SerialNumber, StoredJson, StoredObject


class ReleaseChange(Base):
    """One change of a model's policy, and who made it; ``policy`` is null where the release was ended."""

    __tablename__ = "release_changes"
    __table_args__ = (Index(None, "model", "id"), Index(None, "at", "id"))

    id: Mapped[int] = mapped_column(SerialNumber, primary_key=True, autoincrement=True)
    model: Mapped[str]
    policy: Mapped[StoredObject | None] = mapped_column(StoredJson)
    actor: Mapped[str]
    at: Mapped[float] = mapped_column(default=db_now())
