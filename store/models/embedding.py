"""Vectors of texts, so that none is embedded twice."""

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base


class Embedding(Base):
    """The vector that a model gave for a text, as little-endian 32-bit floats; the text is kept as a hash."""

    __tablename__ = "embeddings"

    model: Mapped[str] = mapped_column(primary_key=True)
    text_sha: Mapped[str] = mapped_column(primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[float] = mapped_column(default=db_now())
