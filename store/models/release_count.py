"""What has come of the requests of each arm of a release."""

from sqlalchemy import BigInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from store.models.base import Base


class ReleaseCount(Base):
    """One arm in one stretch, which is a time in which labels and policy stayed as they are.

    A row for each move, not for each request. ``version_id`` is empty for the model as it is; ``reward`` sums
    scores from 0 to 1; ``refusals`` are those of the ``errors`` that are refusals of a backend.
    """

    __tablename__ = "release_counts"

    model: Mapped[str] = mapped_column(primary_key=True)
    stretch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    arm: Mapped[str] = mapped_column(primary_key=True)
    version_id: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int]
    errors: Mapped[int]
    tokens: Mapped[int]
    micros: Mapped[int]
    milliseconds: Mapped[int]
    rated: Mapped[int]
    negative: Mapped[int]
    reward: Mapped[float]
    refusals: Mapped[int] = mapped_column(server_default=text("0"))
