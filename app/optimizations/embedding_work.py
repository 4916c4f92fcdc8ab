"""What finding a job's examples by embeddings takes before its search begins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.jobs.spec import JobSpec
from app.llm.embeddings import batches
from app.llm.prices import Price
from app.resources import Resources
from optimizer.estimate import REPAIRS, CallRange
from optimizer.examples.embedding import readable
from store.repositories.embeddings import EmbeddingRepository


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingWork:
    """Requests to the embedding model.

    Attributes:
        calls: how many; those for vectors that are kept are left out.
        characters: of the texts of one, on average.
        price: of its tokens.
    """

    calls: CallRange
    characters: float
    price: Price


async def embedding_work(
    spec: JobSpec, bank: Sequence[str], queries: Sequence[str], resources: Resources
) -> EmbeddingWork | None:
    """What embedding the queries of a ``bank`` and all ``queries`` of a job takes; None for nothing.

    A model on this machine takes no calls. Between now and the start other jobs may embed the same texts, so
    it may be nothing at all.
    """
    retrieval = spec.retrieval
    if retrieval.kind != "backend" or retrieval.backend is None or not spec.config.k:
        return None
    shown = _distinct(bank)
    if not shown:
        return None
    asked = [text for text in _distinct(queries) if text not in set(shown)]
    vectors = EmbeddingRepository(resources.database)
    kept = await vectors.find(f"{retrieval.backend}/{retrieval.model}", [*shown, *asked])
    size = resources.settings.retrieval.batch_size
    missing = [[text for text in texts if text not in kept] for texts in (shown, asked)]
    requests = sum(len(batches(texts, size)) for texts in missing)
    if not requests:
        return None
    return EmbeddingWork(
        calls=CallRange(low=0, expected=requests, high=math.ceil(requests * REPAIRS)),
        characters=sum(len(text) for texts in missing for text in texts) / requests,
        price=resources.models.backend_price(retrieval.backend),
    )


def _distinct(texts: Sequence[str]) -> list[str]:
    return [text for text in dict.fromkeys(map(readable, texts)) if text]
