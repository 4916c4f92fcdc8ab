from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import InvalidInputError
from optimizer.near_duplicates import group_near_duplicates
from optimizer.splitting import QuerySplit, split_queries
from optimizer.types import Query

TEXTS = [
    "One",
    "one",
    " ONE  ",
    "two",
    "Two?\n",
    "three little pigs",
    "three little pigs!",
    "4",
    "5",
    "6",
    "7",
]
KINDS = st.sampled_from(["code", "harmful", None])
pools = st.lists(st.tuples(st.sampled_from(TEXTS), KINDS), min_size=1).map(
    lambda drawn: [Query(id=f"q{place}", text=text, kind=kind) for place, (text, kind) in enumerate(drawn)]
)
counts = st.integers(0, 12)
seeds = st.integers(0, 99)


def numbered(count: int, kinds: tuple[str | None, ...] = (None,)) -> list[Query]:
    return [
        Query(id=f"q{place:03}", text=f"question {place}", kind=kinds[place % len(kinds)])
        for place in range(count)
    ]


def parts(split: QuerySplit) -> tuple[tuple[Query, ...], ...]:
    return split.screening, split.search, split.held_out


def different(pool: list[Query]) -> int:
    return len(set(group_near_duplicates([query.text for query in pool])))


@given(pools, counts, counts, counts, seeds)
def test_no_text_of_a_part_has_a_near_duplicate_in_another(
    pool: list[Query], screening: int, search: int, held_out: int, seed: int
) -> None:
    split = split_queries(pool, screening=screening, search=search, held_out=held_out, seed=seed)
    everywhere = [query for part in parts(split) for query in part]
    assert set(everywhere) <= set(pool)
    groups = iter(group_near_duplicates([query.text for query in everywhere]))
    of_parts = [[next(groups) for _ in part] for part in parts(split)]
    for place, found in enumerate(of_parts):
        others = {group for other in (*of_parts[:place], *of_parts[place + 1 :]) for group in other}
        assert others.isdisjoint(found)
    assert len(set(of_parts[2])) == len(split.held_out)
    assert len(set(of_parts[0])) == len(split.screening)
    keys = [" ".join(query.text.lower().split()) for query in everywhere]
    assert len(set(keys)) == len(keys)


@given(pools, counts, counts, counts, seeds)
def test_at_most_half_is_held_out_and_screening_and_search_share_the_rest(
    pool: list[Query], screening: int, search: int, held_out: int, seed: int
) -> None:
    split = split_queries(pool, screening=screening, search=search, held_out=held_out, seed=seed)
    assert len(split.held_out) == min(held_out, different(pool) // 2)
    rest = different(pool) - len(split.held_out)
    wanted = screening + search
    assert len(split.screening) == (screening if wanted <= rest else rest * screening // wanted)
    assert len(split.search) >= min(search, rest - len(split.screening))
    assert len(split.search) <= search


@given(pools, counts, counts, counts, seeds, st.randoms(use_true_random=False))
def test_the_split_follows_from_content_and_seed_alone(
    pool: list[Query], screening: int, search: int, held_out: int, seed: int, random: object
) -> None:
    distinct = list({" ".join(item.text.lower().split()): item for item in reversed(pool)}.values())
    first, again, other = (
        split_queries(items, screening=screening, search=search, held_out=held_out, seed=seed)
        for items in (pool, pool, distinct)
    )
    assert first == again
    assert first == other, "order is no matter"


def test_another_seed_gives_another_order() -> None:
    orders = {split_queries(numbered(40), search=40, held_out=0, seed=seed).search for seed in range(10)}
    assert len(orders) == 10
    assert tuple(numbered(40)) not in orders


def test_a_pool_that_grows_is_parted_nearly_as_before() -> None:
    few, more = (
        split_queries(numbered(count), screening=50, search=100, held_out=50, seed=3) for count in (200, 210)
    )
    moved = set(few.held_out) - set(more.held_out)
    assert len(moved) <= 6
    assert len(set(few.screening) - set(more.screening)) <= 10


@given(st.lists(KINDS, min_size=12, max_size=60), st.integers(2, 12), st.integers(0, 12), seeds)
def test_every_part_has_of_each_kind_what_is_its_share(
    kinds: list[str | None], held_out: int, screening: int, seed: int
) -> None:
    pool = [Query(id=f"q{place:02}", text=f"question {place}", kind=kind) for place, kind in enumerate(kinds)]
    split = split_queries(pool, screening=screening, search=60, held_out=held_out, seed=seed)
    whole = Counter(kinds)
    for part in (split.held_out, split.screening, split.search[:7], split.search):
        found = Counter(query.kind for query in part)
        for kind, count in whole.items():
            assert abs(found[kind] - len(part) * count / len(kinds)) <= 2


def test_of_equal_texts_the_first_is_taken() -> None:
    pool = [Query(id="b", text="Same text"), Query(id="a", text="same  TEXT ")]
    assert split_queries(pool, search=5, held_out=5, seed=0).search == (pool[0],)


def test_near_duplicates_follow_all_that_is_different_and_are_not_held_out_twice() -> None:
    twins = [Query(id=f"t{place:03}", text=f"question {place} ?") for place in range(20)]
    split = split_queries(numbered(20) + twins, search=99, held_out=5, seed=1)
    assert (len(split.held_out), len(split.search)) == (5, 30)
    first, second = (
        {item.text[:11].strip() for item in part} for part in (split.search[:15], split.search[15:])
    )
    assert first == second
    short = split_queries(numbered(20) + twins, search=18, held_out=5, seed=1)
    assert short.search == split.search[:18]


@given(pools, counts, counts, seeds, st.lists(st.sampled_from(["ONE", "two ", "4", "9"])))
def test_what_an_example_nearly_shows_is_searched_on_but_never_held_out(
    pool: list[Query], search: int, held_out: int, seed: int, shown: list[str]
) -> None:
    split = split_queries(pool, search=search, held_out=held_out, seed=seed, shown=shown)
    together = group_near_duplicates([*(query.text for query in pool), *shown])
    answered = set(together[len(pool) :])
    groups = dict(zip((query.id for query in pool), together, strict=False))
    assert answered.isdisjoint(groups[query.id] for query in split.held_out)
    free = set(groups.values()) - answered
    assert len(split.held_out) == min(held_out, different(pool) // 2, len(free))
    assert len(split.search) >= min(search, different(pool) - len(split.held_out))


def test_examples_about_other_things_change_nothing() -> None:
    plain, other = (
        split_queries(numbered(40), search=9, held_out=9, seed=1, shown=shown) for shown in ([], ["else"])
    )
    assert plain == other


def test_a_pool_that_the_examples_show_whole_holds_nothing_out() -> None:
    pool = [Query(id="a", text="One"), Query(id="b", text="Two")]
    split = split_queries(pool, search=5, held_out=1, seed=0, shown=["one", " TWO"])
    assert (len(split.search), split.held_out) == (2, ())


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="there are no queries") as caught:
        split_queries([], search=1, held_out=1, seed=0)
    assert caught.value.param == "queries"
