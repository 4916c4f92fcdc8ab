"""What was used, day by day: it stays when the rows of single requests are dropped."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base


class UsageDay(Base):
    """Sums over the requests of one day (UTC, counted from 1970), key and route."""

    __tablename__ = "usage_days"

    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    route_id: Mapped[int] = mapped_column(
        ForeignKey("served_routes.id"), primary_key=True, autoincrement=False
    )
    requests: Mapped[int]
    failed: Mapped[int]
    client_left: Mapped[int]
    estimated: Mapped[int]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    micros: Mapped[int]
