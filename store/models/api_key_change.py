"""The audit log of API keys."""

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, SerialNumber, StoredJson, StoredObject


class ApiKeyChange(Base):
    """What was done to a key, by whom, and what its fields are since. Triggers refuse any later change."""

    __tablename__ = "api_key_changes"
    __table_args__ = (Index(None, "key_id", "id"), Index(None, "at", "id"))

    id: Mapped[int] = mapped_column(SerialNumber, primary_key=True, autoincrement=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    change: Mapped[str]
    fields: Mapped[StoredObject] = mapped_column(StoredJson)
    actor: Mapped[str]
    at: Mapped[float] = mapped_column(default=db_now())
