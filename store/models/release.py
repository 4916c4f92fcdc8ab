"""Releases: how a model's requests are split between versions."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class Release(Base):
    """The policy of one model's traffic; a label in a stretch looks bad since ``suspect_since``."""

    __tablename__ = "releases"

    model: Mapped[str] = mapped_column(primary_key=True)
    policy: Mapped[StoredObject] = mapped_column(StoredJson)
    salt: Mapped[str]
    changed_by: Mapped[str]
    changed_at: Mapped[float] = mapped_column(default=db_now())
    suspect_stretch: Mapped[int | None] = mapped_column(BigInteger)
    suspect_since: Mapped[float | None]
    quiet_until: Mapped[float | None]
    suspect_label: Mapped[str | None]
