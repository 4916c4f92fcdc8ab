"""How the in-context examples of a request are found."""

from typing import Literal, Self

from pydantic import Field, model_validator

from app.backend_settings import Group, Seconds


class RetrievalSettings(Group):
    """What new jobs find examples by; a prompt version keeps what it was tuned with.

    Attributes:
        kind: ``lexical`` (BM25), ``backend`` (``/v1/embeddings`` of a configured backend), or ``local`` (a
            sentence-transformers model on this machine; needs the extra ``embeddings``).
        backend: the backend's configured name, for ``backend``.
        model: the backend's name for the embedding model; for ``local`` a folder, or an installed package
            that carries a model.
        encoding: how vectors are asked for; either is understood in the answer.
        batch_size: texts in one request.
        timeout_seconds: how long a chat request waits for its query's vector before it goes on without.
    """

    kind: Literal["lexical", "backend", "local"] = "lexical"
    backend: str | None = Field(default=None, min_length=1)
    model: str | None = Field(default=None, min_length=1)
    encoding: Literal["base64", "float"] = "base64"
    batch_size: int = Field(default=64, ge=1, le=2048)
    timeout_seconds: Seconds = 2.0

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> Self:
        if self.kind != "lexical" and self.model is None:
            raise ValueError(f"model is missing: kind = {self.kind!r} needs an embedding model")
        if self.kind == "backend" and self.backend is None:
            raise ValueError(
                "backend is missing: name the configured backend that serves the embedding model"
            )
        if self.kind == "lexical" and self.model is not None:
            raise ValueError("kind = 'lexical' uses no model: set kind to 'backend' or 'local', or remove it")
        if self.kind != "backend" and self.backend is not None:
            raise ValueError(f"kind = {self.kind!r} uses no backend: remove it, or set kind = 'backend'")
        return self
