"""Prompt versions: immutable bundles that are served."""

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.clock import db_now
from store.models.base import Base, StoredJson, StoredObject


class PromptVersion(Base):
    """System prompt, examples, ``k``, retrieval and sampling. Triggers refuse its change."""

    __tablename__ = "prompt_versions"
    __table_args__ = (
        UniqueConstraint("model", "number"),
        UniqueConstraint("model", "content_hash"),
        Index(None, "created_at", "number"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    number: Mapped[int]
    content_hash: Mapped[str]
    system_prompt: Mapped[str]
    example_bank_id: Mapped[str | None] = mapped_column(ForeignKey("example_banks.id"))
    k: Mapped[int]
    retrieval: Mapped[StoredObject | None] = mapped_column(StoredJson)
    sampling: Mapped[StoredObject] = mapped_column(StoredJson)
    optimization_id: Mapped[str | None] = mapped_column(ForeignKey("optimizations.id"))
    candidate_id: Mapped[str | None]
    evidence: Mapped[StoredObject | None] = mapped_column(StoredJson)
    provenance: Mapped[StoredObject | None] = mapped_column(StoredJson)
    created_at: Mapped[float] = mapped_column(default=db_now())
