"""Which queries steer the search and which are held out."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.errors import InvalidInputError
from optimizer.seeds import derive_seed
from optimizer.types import Query

MAX_HELD_OUT_SHARE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class QuerySplit:
    """Disjoint in their texts: what the search may see, in its order, and what only the gate sees."""

    search: tuple[Query, ...]
    held_out: tuple[Query, ...]


def split_queries(
    queries: Sequence[Query], *, search: int, held_out: int, seed: int, shown: Sequence[str] = ()
) -> QuerySplit:
    """Shuffle ``queries`` by ``seed`` and part them.

    Texts that are equal but for case and white space count as one. At most half of the distinct queries are
    held out, whatever was asked for, and none whose answer an in-context example shows.

    Args:
        queries: the pool.
        search: queries that the search can use at most.
        held_out: queries wanted for the gate.
        seed: the run's seed.
        shown: the queries of in-context examples; the search may use them.

    Raises:
        InvalidInputError: the pool is empty.
    """
    distinct = {_key(query.text): query for query in reversed(queries)}
    pool = sorted(distinct.values(), key=lambda query: query.id)
    if not pool:
        raise InvalidInputError("there are no queries", param="queries")
    random.Random(derive_seed(seed, "split")).shuffle(pool)
    answered = {_key(text) for text in shown}
    unseen = [query for query in pool if _key(query.text) not in answered]
    reserved = unseen[: min(held_out, int(len(pool) * MAX_HELD_OUT_SHARE))]
    kept = {_key(query.text) for query in reserved}
    rest = [query for query in pool if _key(query.text) not in kept]
    return QuerySplit(search=tuple(rest[:search]), held_out=tuple(reserved))


def _key(text: str) -> str:
    return " ".join(text.lower().split())
