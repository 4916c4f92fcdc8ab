"""What served requests have in common, so that a row of each can be small."""

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base, SerialNumber


class ServedRoute(Base):
    """One combination of endpoint, model, backend and prompt version; ``version_id`` is empty for none."""

    __tablename__ = "served_routes"
    __table_args__ = (UniqueConstraint("endpoint", "model", "backend", "upstream_model", "version_id"),)

    id: Mapped[int] = mapped_column(SerialNumber, primary_key=True, autoincrement=True)
    endpoint: Mapped[str]
    model: Mapped[str]
    backend: Mapped[str]
    upstream_model: Mapped[str]
    version_id: Mapped[str]
