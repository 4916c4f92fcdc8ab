"""Which examples of the bank are shown with a query."""

from collections.abc import Sequence
from functools import lru_cache

import bm25s
import numpy as np
from typing_extensions import override

from optimizer.protocols import Retriever
from optimizer.types import Example

_REMEMBERED = 64
"""Queries whose examples are remembered: all candidates of a round ask for the same ones."""
_READ_CHARACTERS = 20_000
"""Of a query: a very long one counts by its beginning."""


class LexicalRetriever(Retriever):
    """The examples whose queries share the most telling words with the query (BM25, Lu 2024, bm25s).

    Examples that tie, and those that share no word at all, come in the order of the bank, so that the answer
    is the same on every machine.
    """

    def __init__(self, bank: Sequence[Example]) -> None:
        """Index ``bank``; ids in it are unique."""
        self._bank = tuple(bank)
        self._index = bm25s.BM25()
        corpus = bm25s.tokenize(
            [example.query for example in self._bank], stopwords="en", return_ids=False, show_progress=False
        )
        self._searchable = any(corpus)
        if self._searchable:
            self._index.index(corpus, show_progress=False)
        self._nearest = lru_cache(_REMEMBERED)(self._find_nearest)

    @override
    async def prepare(self, queries: Sequence[str]) -> None:
        """Nothing has to be asked."""

    @override
    async def retrieve(self, query: str, k: int) -> tuple[Example, ...]:
        wanted = min(k, len(self._bank))
        return self._nearest(query[:_READ_CHARACTERS], wanted) if wanted else ()

    def _find_nearest(self, query: str, wanted: int) -> tuple[Example, ...]:
        order = np.argsort(-self._scores(query), kind="stable")[:wanted]
        return tuple(self._bank[position] for position in order)

    def _scores(self, query: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        nothing = np.zeros(len(self._bank))
        if not self._searchable:
            return nothing
        words = bm25s.tokenize([query], stopwords="en", return_ids=False, show_progress=False)[0]
        known = [word for word in words if word in self._index.vocab_dict]
        if not known:
            return nothing
        return np.asarray(self._index.get_scores(known), dtype=np.float64)
