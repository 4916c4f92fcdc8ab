"""Which queries screen the seed prompt, which steer the search and which are held out."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.errors import InvalidInputError
from optimizer.near_duplicates import group_near_duplicates
from optimizer.seeds import content_seed
from optimizer.types import Query

MAX_HELD_OUT_SHARE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class QuerySplit:
    """Parts of a pool; no text of one has a near-duplicate in another.

    Attributes:
        screening: what the seed prompt is tried on before the search.
        search: what the search may see, in its order.
        held_out: what only the gate sees; no two of these are near-duplicates either.
    """

    screening: tuple[Query, ...] = ()
    search: tuple[Query, ...]
    held_out: tuple[Query, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    """Near-duplicates, the first one speaking for them; ``is_shown`` where an in-context example is one."""

    members: tuple[Query, ...]
    is_shown: bool

    @property
    def first(self) -> Query:
        return self.members[0]


def split_queries(
    queries: Sequence[Query],
    *,
    search: int,
    held_out: int,
    seed: int,
    screening: int = 0,
    shown: Sequence[str] = (),
) -> QuerySplit:
    """Part ``queries`` by content: near-duplicates stay together, kinds are spread evenly.

    A query's place follows from its text, ``seed`` and the share of its kind alone, so that a pool that has
    grown is parted nearly as before. Each part, and each beginning of one, has of every kind what is its
    share, within rounding. At most half of the distinct queries are held out, whatever was asked for, and
    none that is nearly one of an in-context example. What is left goes to screening and search, in proportion
    where it does not suffice. Of near-duplicates one is held out and the others are used nowhere; the search
    gets them after all distinct queries. Takes seconds for ten thousand queries.

    Args:
        queries: the pool.
        search: queries that the search can use at most.
        held_out: queries wanted for the gate.
        seed: the run's seed.
        screening: queries wanted for screening.
        shown: the queries of in-context examples; the search may use them.

    Raises:
        InvalidInputError: the pool is empty.
    """
    if not queries:
        raise InvalidInputError("there are no queries", param="queries")
    groups = _spread(_group(queries, shown), seed)
    unseen = [group for group in groups if not group.is_shown]
    reserved = unseen[: min(held_out, int(len(groups) * MAX_HELD_OUT_SHARE))]
    taken = {group.first for group in reserved}
    rest = [group for group in groups if group.first not in taken]
    screened = screening
    if screening + search > len(rest):
        screened = len(rest) * screening // (screening + search)
    searched = rest[screened:]
    others = (query for group in searched for query in group.members[1:])
    return QuerySplit(
        screening=tuple(group.first for group in rest[:screened]),
        search=(*(group.first for group in searched), *others)[:search],
        held_out=tuple(group.first for group in reserved),
    )


def _group(queries: Sequence[Query], shown: Sequence[str]) -> list[_Group]:
    numbers = group_near_duplicates([*(query.text for query in queries), *shown])
    members: defaultdict[int, dict[str, Query]] = defaultdict(dict)
    for query, number in zip(queries, numbers[: len(queries)], strict=True):
        members[number].setdefault(_key(query.text), query)
    answered = set(numbers[len(queries) :])
    return [
        _Group(
            members=tuple(sorted(found.values(), key=lambda query: (_key(query.text), query.id))),
            is_shown=number in answered,
        )
        for number, found in members.items()
    ]


def _spread(groups: Sequence[_Group], seed: int) -> list[_Group]:
    """By chance within each kind, and the kinds evenly among each other."""
    kinds: defaultdict[str | None, list[tuple[int, str, _Group]]] = defaultdict(list)
    for group in groups:
        key = _key(group.first.text)
        kinds[group.first.kind].append((content_seed(seed, "split", key), key, group))
    placed: list[tuple[float, int, str, _Group]] = []
    for drawn in kinds.values():
        drawn.sort(key=lambda item: item[:2])
        placed += [((place + 0.5) / len(drawn), *item) for place, item in enumerate(drawn)]
    return [group for *_, group in sorted(placed, key=lambda item: item[:3])]


def _key(text: str) -> str:
    return " ".join(text.lower().split())
