"""The audit log of label moves."""

from sqlalchemy import ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, SerialNumber


class LabelMove(Base):
    """One move, who made it and why. Rows are only ever added: triggers refuse the rest.

    ``undoes`` is the move that this one takes back. Where ``removes`` is set the label points to nothing
    from then on, and ``to_version`` repeats ``from_version``, since rows of old have to have one.
    """

    __tablename__ = "label_moves"
    __table_args__ = (Index(None, "model", "label", "id"), Index(None, "at", "id"))

    id: Mapped[int] = mapped_column(SerialNumber, primary_key=True, autoincrement=True)
    model: Mapped[str]
    label: Mapped[str]
    from_version: Mapped[str | None] = mapped_column(ForeignKey("prompt_versions.id"))
    to_version: Mapped[str] = mapped_column(ForeignKey("prompt_versions.id"))
    actor: Mapped[str]
    reason: Mapped[str]
    undoes: Mapped[int | None]
    removes: Mapped[bool] = mapped_column(server_default=false())
    at: Mapped[float] = mapped_column(default=db_now())
