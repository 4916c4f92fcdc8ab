"""Served requests: numbers, and no word of what was asked or answered."""

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base, SerialNumber


class ServedRequest(Base):
    """One request.

    ``key_number`` is 0 for a caller without a stored key; ``ending`` one of ``Ending``; ``attempts`` 0
    where a kept answer was given; ``token`` what the answer's id is made of. ``arm``, ``propensity`` and
    ``stretch`` say how a release chose the version.
    """

    __tablename__ = "served_requests"
    __table_args__ = (
        Index(None, "token"),
        Index(
            "ix_served_requests_released",
            "id",
            postgresql_where=text("arm IS NOT NULL"),
            sqlite_where=text("arm IS NOT NULL"),
        ),
    )

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
    token: Mapped[bytes | None] = mapped_column(LargeBinary)
    arm: Mapped[str | None]
    propensity: Mapped[float | None]
    stretch: Mapped[int | None] = mapped_column(BigInteger)
