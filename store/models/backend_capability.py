"""What backends were found to be able to do."""

from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class BackendCapability(Base):
    """The last probe of a model on a backend."""

    __tablename__ = "backend_capabilities"

    backend: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    record: Mapped[StoredObject] = mapped_column(StoredJson)
    probed_at: Mapped[float] = mapped_column(default=db_now())
