"""Which examples are shown with a query: those whose queries mean most nearly the same."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from optimizer.errors import MalformedResponseError, MisconfiguredError, RequestRefusedError
from optimizer.protocols import Embedder, Retriever, Vectors
from optimizer.shared_calls import SharedCalls
from optimizer.types import Example

READ_CHARACTERS = 8_000
"""Of a text: models read a few hundred or thousand tokens, and some refuse what is longer."""
_REMEMBERED = 512
"""Query vectors that are kept; the longest unused is forgotten first."""
_DIGITS = 6
"""Of a similarity: what differs beyond them depends on the machine's order of additions."""
_THE_BANK = ""


class EmbeddingRetriever(Retriever):
    """The examples whose queries are nearest to the query by cosine similarity.

    The bank is embedded once, each query once for as long as it is remembered; a request then takes one
    matrix-vector product. Examples that tie come in the order of the bank. For a query without any text the
    bank's order is the answer, and nothing is embedded.
    """

    def __init__(
        self,
        bank: Sequence[Example],
        embedder: Embedder,
        *,
        bank_embedder: Embedder | None = None,
        remembered: int = _REMEMBERED,
    ) -> None:
        """Find examples of ``bank`` by the vectors of ``embedder``.

        Args:
            bank: the examples; ids in it are unique.
            embedder: gives the vectors of queries.
            bank_embedder: gives those of the bank; the same model, such as one that keeps what it gave.
            remembered: query vectors kept, at least 1.
        """
        self._bank = tuple(bank)
        self._texts = tuple(readable(example.query) for example in self._bank)
        self._embedder = embedder
        self._bank_embedder = bank_embedder or embedder
        self._remembered = remembered
        self._matrix: Vectors | None = None
        self._queries: OrderedDict[str, Vectors] = OrderedDict()
        self._calls: SharedCalls[str, Vectors] = SharedCalls()

    @override
    async def prepare(self, queries: Sequence[str]) -> None:
        if not any(self._texts):
            return
        await self._bank_matrix()
        texts = dict.fromkeys(map(readable, queries))
        wanted = [text for text in texts if text and text not in self._queries]
        if wanted:
            try:
                vectors = _unit(await self._embedder.embed(wanted))
            except MisconfiguredError:
                raise
            except RequestRefusedError:
                return  # one of them spoils the request; which one shows when each is asked for alone
            for text, vector in zip(wanted, vectors, strict=True):
                self._remember(text, vector)

    @override
    async def retrieve(self, query: str, k: int) -> tuple[Example, ...]:
        wanted = min(k, len(self._bank))
        text = readable(query)
        if not (wanted and text and any(self._texts)):
            return self._bank[:wanted]
        matrix = await self._bank_matrix()
        vector = await self._query_vector(text)
        if len(vector) != matrix.shape[1]:
            raise MalformedResponseError(
                f"{self._embedder.name} gave {matrix.shape[1]} numbers for a text before and {len(vector)} "
                "now: it is another model under the same name",
                backend=self._embedder.name,
            )
        similarity: Vectors = np.round(matrix @ vector, _DIGITS)
        order = np.argsort(-similarity, kind="stable")[:wanted]
        return tuple(self._bank[position] for position in order)

    async def _bank_matrix(self) -> Vectors:
        if self._matrix is None:
            self._matrix = await self._calls.run(_THE_BANK, self._embed_bank)
        return self._matrix

    async def _embed_bank(self) -> Vectors:
        distinct = [text for text in dict.fromkeys(self._texts) if text]
        vectors = _unit(await self._bank_embedder.embed(distinct))
        nothing = np.zeros(vectors.shape[1], dtype=np.float32)
        by_text = dict(zip(distinct, vectors, strict=True))
        return np.stack([by_text.get(text, nothing) for text in self._texts])

    async def _query_vector(self, text: str) -> Vectors:
        known = self._queries.get(text)
        if known is None:
            known = await self._calls.run(text, lambda: self._embed_query(text))
        self._remember(text, known)
        return known

    async def _embed_query(self, text: str) -> Vectors:
        vector: Vectors = _unit(await self._embedder.embed([text]))[0]
        return vector

    def _remember(self, text: str, vector: Vectors) -> None:
        self._queries[text] = vector
        self._queries.move_to_end(text)
        if len(self._queries) > self._remembered:
            self._queries.popitem(last=False)


def _unit(vectors: Vectors) -> Vectors:
    """``vectors`` with length 1; one without any length stays as it is, and is like no other."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1.0, lengths)).astype(np.float32)


def readable(text: str) -> str:
    """What of ``text`` is embedded: its beginning, without the halves of characters that no request takes."""
    return text[:READ_CHARACTERS].encode("utf-8", "replace").decode().strip()
