"""Sessions of people who have signed in to the dashboard."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base


class WebSession(Base):
    """One session; its token is nowhere, only the token's SHA-256.

    ``key_number`` is of the stored key that it stands for. It is null where that is the key of the settings:
    then ``proof`` shows that this key has not changed.
    """

    __tablename__ = "web_sessions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    key_number: Mapped[int | None] = mapped_column(ForeignKey("api_keys.number"))
    proof: Mapped[str | None]
    created_at: Mapped[float] = mapped_column(default=db_now())
    expires_at: Mapped[float] = mapped_column(index=True)
