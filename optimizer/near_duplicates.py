"""Which texts say the same in nearly the same words: an exact join on their shared pieces."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

SIMILARITY = 0.7
"""Share of their pieces that two texts have in common from which on they count as one. In a text of sixty
letters that is one word changed, in a short question a typing error."""

_PIECE = 4
_SHORT = 120
"""Letters up to which texts are compared by their letters."""
_LONG = int(SIMILARITY * _SHORT)
"""Letters from which on they are compared by their words: two similar texts are both short or both long."""
_WORD = re.compile(r"[\u2e80-\uffff]|\w+|\S")
_EDGES = " \t.,;:!?\u2026\"'"
_SPARE = 8
"""A set's size over this is how many shared pieces are asked for before two sets are compared whole."""
_ROWS = 64
_PAIRS = 20_000
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

_Integers = NDArray[np.int64]


def group_near_duplicates(texts: Sequence[str]) -> list[int]:
    """A group's number for each of ``texts``: the same for texts that are linked by near-duplicates.

    Two texts are near-duplicates where the Jaccard similarity of their sets of pieces is ``SIMILARITY`` or
    more; pieces are four letters in a row, in longer texts two words in a row. Case, spacing and punctuation
    at the ends don't count, and a number weighs like a word (``question 12`` is not ``question 13``). Every
    such pair is found, by prefix filtering: similar sets share one of their rarest pieces. It takes seconds
    for ten thousand queries, so it is not for the event loop.

    Returns:
        Numbers from 0 on, in the order in which the groups first occur.
    """
    plain = [_normalised(text) for text in texts]
    lengths = np.array([len(text) for text in plain])
    labels: _Integers = np.arange(len(texts))
    for members, read in (
        (np.flatnonzero(lengths <= _SHORT), _letter_pieces),
        (np.flatnonzero(lengths >= _LONG), _word_pieces),
    ):
        if len(members) > 1:
            _join(labels, members, _Pieces.of([read(plain[place]) for place in members]))
    return _numbered(labels)


def _join(labels: _Integers, members: _Integers, pieces: "_Pieces") -> None:
    """Give near-duplicates among ``members`` one label, in place."""
    for left, right in _candidates(pieces, members, labels):
        shared: _Integers = np.asarray(pieces.matrix[left].multiply(pieces.matrix[right]).sum(axis=1)).ravel()
        together = pieces.sizes[left] + pieces.sizes[right] - shared
        alike = shared >= SIMILARITY * together
        if alike.any():
            _link(labels, members[left[alike]], members[right[alike]])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pieces:
    """Sets of pieces, a row for each.

    Attributes:
        matrix: all pieces.
        rarest: the rarest of each set; sets that are similar enough have at least ``demanded`` of these in
            common, the smaller one's number of the two.
        sizes: of the sets.
    """

    matrix: "csr_array[np.int32]"
    rarest: "csr_array[np.int32]"
    demanded: _Integers
    sizes: _Integers

    @classmethod
    def of(cls, sets: Sequence[NDArray[np.uint64]]) -> "_Pieces":
        sizes = np.array([len(item) for item in sets], dtype=np.int64)
        _, columns, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
        rows = np.repeat(np.arange(len(sets)), sizes)
        order = np.lexsort((columns, counts[columns], rows))
        rows, columns = rows[order], columns[order]
        place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        demanded = 1 + sizes // _SPARE
        # Whatever is shared, so many of it lies among the pieces that are not the most common ones.
        prefix = sizes - np.ceil(SIMILARITY * sizes).astype(np.int64) + demanded
        kept = (place < prefix[rows]) & (counts[columns] > 1)
        shape = (len(sets), len(counts))
        return cls(
            matrix=_incidence(rows, columns, shape),
            rarest=_incidence(rows[kept], columns[kept], shape),
            demanded=demanded,
            sizes=sizes,
        )


def _incidence(rows: _Integers, columns: _Integers, shape: tuple[int, int]) -> "csr_array[np.int32]":
    return csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape)


def _letter_pieces(text: str) -> NDArray[np.uint64]:
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return _runs(letters.astype(np.uint64), _PIECE)


def _word_pieces(text: str) -> NDArray[np.uint64]:
    digests = (hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8) for word in _words(text))
    return _runs(np.frombuffer(b"".join(digest.digest() for digest in digests), dtype=np.uint64), 2)


def _words(text: str) -> list[str]:
    """At least two; where words are written without spaces, each sign counts as one."""
    return [" ", *_WORD.findall(text)]


def _runs(items: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    """The set of hashes of all runs of ``length`` in ``items``; at least one."""
    count = len(items) - length + 1
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(length):
        hashes = hashes * _MULTIPLIER + items[offset : offset + count]
    return np.unique(hashes)


def _normalised(text: str) -> str:
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    counted = re.sub(r"\d+", lambda match: _as_word(match[0]), plain.strip(_EDGES) or plain)
    return f" {counted} ".ljust(_PIECE)


def _as_word(number: str) -> str:
    """Letters that differ from those of any other number."""
    return hashlib.blake2b(number.encode(), digest_size=4).hexdigest()


def _candidates(
    pieces: _Pieces, members: _Integers, labels: _Integers
) -> Iterator[tuple[_Integers, _Integers]]:
    """Pairs of rows that share a rare piece and are not yet in one group; ``labels`` change meanwhile."""
    across = pieces.rarest.T.tocsr()
    for start in range(0, len(members), _ROWS):
        common = coo_array(pieces.rarest[start : start + _ROWS] @ across)
        left, right = common.row.astype(np.int64) + start, common.col.astype(np.int64)
        small = np.minimum(pieces.sizes[left], pieces.sizes[right])
        large = np.maximum(pieces.sizes[left], pieces.sizes[right])
        demanded = np.minimum(pieces.demanded[left], pieces.demanded[right])
        possible = (left < right) & (small >= SIMILARITY * large) & (common.data >= demanded)
        left, right = left[possible], right[possible]
        while len(left):
            apart = labels[members[left]] != labels[members[right]]
            left, right = left[apart], right[apart]
            yield left[:_PAIRS], right[:_PAIRS]
            left, right = left[_PAIRS:], right[_PAIRS:]


def _link(labels: _Integers, left: _Integers, right: _Integers) -> None:
    """Join the groups of each pair, in place."""
    count = len(labels)
    ends = (labels[left], labels[right])
    links = coo_array((np.ones(len(left), dtype=np.int8), ends), shape=(count, count))
    _, joined = connected_components(links, directed=False)
    labels[:] = joined[labels]


def _numbered(labels: _Integers) -> list[int]:
    numbers: dict[int, int] = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels.tolist()]
