"""API keys: what may be asked for with them, and how much of it."""

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, SerialNumber, StoredJson, StoredObject


class ApiKey(Base):
    """One key; the key itself is nowhere, only its SHA-256.

    ``number`` stands for the key in rows of which there are many. ``models`` is null where all are allowed.
    """

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("id"), UniqueConstraint("prefix"))

    number: Mapped[int] = mapped_column(SerialNumber, primary_key=True, autoincrement=True)
    id: Mapped[str]
    prefix: Mapped[str]
    digest: Mapped[str]
    name: Mapped[str]
    note: Mapped[str]
    scopes: Mapped[StoredObject] = mapped_column(StoredJson)
    models: Mapped[StoredObject | None] = mapped_column(StoredJson)
    limits: Mapped[StoredObject] = mapped_column(StoredJson)
    created_by: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=db_now())
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    last_used_at: Mapped[float | None]
