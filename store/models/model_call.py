"""The call ledger: what was asked of models, and what they answered."""

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base


class ModelCall(Base):
    """One content-addressed call.

    The request is kept as a hash only. Spend adds up over all attempts. The ``estimated`` columns hold the
    most that one request of the newest attempt can cost; it is added to the spend where nobody sees the
    attempt's end, which ``unknown_calls`` counts.
    """

    __tablename__ = "model_calls"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'done', 'failed', 'unknown')", name="status"),
        CheckConstraint("status <> 'done' OR response IS NOT NULL", name="done_has_response"),
        Index(None, "optimization_id"),
    )

    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    optimization_id: Mapped[str] = mapped_column(ForeignKey("optimizations.id"))
    fence: Mapped[int]
    role: Mapped[str]
    model: Mapped[str]
    status: Mapped[str]
    response: Mapped[bytes | None]
    calls: Mapped[int] = mapped_column(default=0)
    unknown_calls: Mapped[int] = mapped_column(default=0)
    prompt_tokens: Mapped[int] = mapped_column(default=0)
    completion_tokens: Mapped[int] = mapped_column(default=0)
    cost: Mapped[float] = mapped_column(default=0.0)
    estimated_prompt_tokens: Mapped[int] = mapped_column(default=0)
    estimated_completion_tokens: Mapped[int] = mapped_column(default=0)
    estimated_cost: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float] = mapped_column(default=db_now())
    finished_at: Mapped[float | None]
