"""Labels: movable pointers to prompt versions."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base


class PromptLabel(Base):
    """Which version of a model a label points to now."""

    __tablename__ = "prompt_labels"

    model: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("prompt_versions.id"))
    moved_at: Mapped[float] = mapped_column(default=db_now())
