"""No text is embedded twice: vectors are kept longer than a process lives."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from typing_extensions import override

from optimizer.protocols import Embedder, Vectors

_NUMBERS = np.dtype("<f4")


class VectorRecords(Protocol):
    """Keeps vectors: little-endian 32-bit floats, by model and text."""

    async def find(self, model: str, texts: Sequence[str]) -> Mapping[str, bytes]:
        """The vectors of those of ``texts`` that are kept."""
        ...

    async def put(self, model: str, vectors: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Keep ``vectors``, by text, unless somebody was faster; gives what is kept for these texts."""
        ...


class CachedEmbedder(Embedder):
    """Asks the records first. What they keep goes before what the model says, so that all use the same."""

    def __init__(self, embedder: Embedder, records: VectorRecords) -> None:
        """``embedder`` with ``records`` before it."""
        self._embedder = embedder
        self._records = records

    @property
    @override
    def name(self) -> str:
        return self._embedder.name

    @override
    async def embed(self, texts: Sequence[str]) -> Vectors:
        distinct = list(dict.fromkeys(texts))
        kept = dict(await self._records.find(self.name, distinct))
        missing = [text for text in distinct if text not in kept]
        if missing:
            vectors = await self._embedder.embed(missing)
            made = {
                text: vector.astype(_NUMBERS).tobytes() for text, vector in zip(missing, vectors, strict=True)
            }
            kept |= await self._records.put(self.name, made)
        return np.stack([np.frombuffer(kept[text], dtype=_NUMBERS) for text in texts]).astype(np.float32)
