"""From what a job or a prompt version finds its examples by to the retriever that does it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from app.llm.cached_embedder import CachedEmbedder, VectorRecords
from app.llm.registry import ModelRegistry
from app.llm.run_context import RunContext
from app.retrieval_settings import RetrievalSettings
from optimizer.errors import ModelError
from optimizer.examples.embedding import EmbeddingRetriever
from optimizer.examples.retrieval import LexicalRetriever
from optimizer.protocols import Embedder, Retriever
from optimizer.quick_values import quick
from optimizer.types import Example, JsonObject
from store.errors import StoreUnavailableError

FoundBy: TypeAlias = Literal["lexical", "embeddings", "lexical-fallback"]

_LOGGER = logging.getLogger(__name__)
_REST_SECONDS = 10.0
"""After a failure of the embedding model requests go on without it for so long, instead of each waiting."""


class RetrievalSpec(BaseModel):
    """What examples are found by: part of a job and of the prompt versions that it makes.

    Attributes:
        kind / backend / model: as in the settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lexical", "backend", "local"] = "lexical"
    backend: str | None = None
    model: str | None = None

    @classmethod
    def from_settings(cls, settings: RetrievalSettings) -> Self:
        """What the settings say for new jobs."""
        return cls(kind=settings.kind, backend=settings.backend, model=settings.model)

    @classmethod
    def from_version(cls, stored: JsonObject | None) -> Self:
        """What a prompt version was tuned with; None stands for lexical retrieval."""
        return cls() if stored is None else cls.model_validate(stored)

    def to_version(self) -> JsonObject | None:
        """As a prompt version keeps it."""
        if self.kind == "lexical":
            return None
        stored: JsonObject = self.model_dump(mode="json", exclude_none=True)
        return stored


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Nearest:
    """Examples for a query, most similar first, and what found them."""

    examples: tuple[Example, ...]
    found_by: FoundBy


class ServingRetriever:
    """Finds examples for a user's query without ever keeping an answer back.

    Where the embedding model cannot be used, or is slower than is allowed, examples are found by words, which
    the result says. The model is then left alone for a while.
    """

    def __init__(
        self,
        lexical: Retriever,
        embeddings: Retriever | None,
        *,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A retriever for one bank.

        Args:
            lexical: finds examples where embeddings are not wanted or not to be had.
            embeddings: finds them by meaning; None where they are not wanted.
            patience: seconds that a query waits for its vector.
            clock: monotonic seconds.
        """
        self._lexical = lexical
        self._embeddings = embeddings
        self._patience = patience
        self._clock = clock
        self._rests_until: float | None = None

    async def nearest(self, query: str, k: int) -> Nearest:
        """The ``k`` examples nearest to ``query``."""
        if self._embeddings is None:
            return Nearest(examples=await self._lexical.retrieve(query, k), found_by="lexical")
        if self._rests_until is None or self._clock() >= self._rests_until:
            try:
                async with asyncio.timeout(self._patience):
                    examples = await self._embeddings.retrieve(query, k)
            except (ModelError, StoreUnavailableError, TimeoutError) as error:
                self._note_failure(error)
            else:
                self._rests_until = None
                return Nearest(examples=examples, found_by="embeddings")
        return Nearest(examples=await self._lexical.retrieve(query, k), found_by="lexical-fallback")

    def _note_failure(self, error: Exception) -> None:
        self._rests_until = self._clock() + _REST_SECONDS
        reason = str(error) or f"no vector in {self._patience} s (retrieval.timeout_seconds)"
        _LOGGER.warning("examples are found by words, as the embedding model cannot be used: %s", reason)


class Retrievers:
    """Opens retrievers over banks of examples."""

    def __init__(self, models: ModelRegistry, vectors: VectorRecords, settings: RetrievalSettings) -> None:
        """Retrievers with the embedding models of ``models``, whose ``vectors`` are kept."""
        self._models = models
        self._vectors = vectors
        self._settings = settings

    async def for_job(self, spec: RetrievalSpec, examples: Sequence[Example], run: RunContext) -> Retriever:
        """The retriever of a run: its calls are in the run's ledger, and count in its budget.

        Raises:
            MisconfiguredError: the embedding model cannot be used as configured.
        """
        if spec.kind == "lexical" or not examples:
            return await lexical_retriever(examples)
        embedder = await self._embedder(spec, run)
        return EmbeddingRetriever(examples, CachedEmbedder(embedder, self._vectors))

    async def for_serving(self, spec: RetrievalSpec, examples: Sequence[Example]) -> ServingRetriever:
        """The retriever of a prompt version. The vectors of users' queries are kept in memory only."""
        lexical = await lexical_retriever(examples)
        embeddings: Retriever | None = None
        if spec.kind != "lexical" and examples:
            embeddings = _Opened(lambda: self._open_for_serving(spec, examples))
        return ServingRetriever(lexical, embeddings, patience=self._settings.timeout_seconds)

    async def _open_for_serving(self, spec: RetrievalSpec, examples: Sequence[Example]) -> Retriever:
        embedder = await self._embedder(spec, None)
        return EmbeddingRetriever(examples, embedder, bank_embedder=CachedEmbedder(embedder, self._vectors))

    async def _embedder(self, spec: RetrievalSpec, run: RunContext | None) -> Embedder:
        model = spec.model or ""
        if spec.kind == "local":
            return await self._models.local_embedder(model)
        return self._models.open_embedder(spec.backend or "", model, run)


class _Opened(Retriever):
    """A retriever that is opened by the first query, so that a version can be served while that fails."""

    def __init__(self, open_retriever: Callable[[], Awaitable[Retriever]]) -> None:
        self._open = open_retriever
        self._opened: Retriever | None = None

    @override
    async def prepare(self, queries: Sequence[str]) -> None:
        await (await self._retriever()).prepare(queries)

    @override
    async def retrieve(self, query: str, k: int) -> tuple[Example, ...]:
        return await (await self._retriever()).retrieve(query, k)

    async def _retriever(self) -> Retriever:
        if self._opened is None:
            self._opened = await self._open()
        return self._opened


async def lexical_retriever(examples: Sequence[Example]) -> LexicalRetriever:
    """The index of a bank; those who use the same bank share it."""
    # indexing a large bank takes long enough to be felt by other requests
    return await asyncio.to_thread(_index, tuple(examples))


@lru_cache(maxsize=16)
def _index(examples: tuple[Example, ...]) -> LexicalRetriever:
    return LexicalRetriever(examples)
