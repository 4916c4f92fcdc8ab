"""Served requests: numbers, and no word of what was asked or answered."""

from sqlalchemy import ForeignKey, Integer, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base, SerialNumber


class ServedRequest(Base):
    """One request.

    ``key_number`` is 0 for a caller without a stored key; ``ending`` one of ``Ending``; ``attempts`` 0
    where a kept answer was given.
    """

    __tablename__ = "served_requests"

    id: Mapped[int] = mapped_column(SerialNumber, primary_key=True, autoincrement=True)
    at: Mapped[float]
    request_id: Mapped[str]
    route_id: Mapped[int] = mapped_column(ForeignKey("served_routes.id"))
    key_number: Mapped[int] = mapped_column(Integer)
    ending: Mapped[int] = mapped_column(SmallInteger)
    error_code: Mapped[str | None]
    streamed: Mapped[bool]
    estimated: Mapped[bool]
    prompt_tokens: Mapped[int] = mapped_column(Integer)
    completion_tokens: Mapped[int] = mapped_column(Integer)
    micros: Mapped[int]
    first_ms: Mapped[int | None] = mapped_column(Integer)
    total_ms: Mapped[int] = mapped_column(Integer)
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
