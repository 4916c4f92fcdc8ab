"""Example banks, named by their content."""

from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class ExampleBank(Base):
    """A set of in-context examples. Triggers refuse its change."""

    __tablename__ = "example_banks"

    id: Mapped[str] = mapped_column(primary_key=True)
    examples: Mapped[list[StoredObject]] = mapped_column(StoredJson)
    created_at: Mapped[float] = mapped_column(default=db_now())
