import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import InvalidInputError
from optimizer.splitting import split_queries
from optimizer.types import Query

pools = st.lists(
    st.sampled_from(["One", "one", " ONE  ", "two", "Two\n", "three", "4", "5", "6"]), min_size=1
).map(lambda texts: [Query(id=f"q{number}", text=text) for number, text in enumerate(texts)])
counts = st.integers(0, 12)


def key(query: Query) -> str:
    return " ".join(query.text.lower().split())


@given(pools, counts, counts, st.integers(0, 99))
def test_the_parts_share_no_text_and_repeat_none(
    pool: list[Query], search: int, held_out: int, seed: int
) -> None:
    split = split_queries(pool, search=search, held_out=held_out, seed=seed)
    texts = [key(query) for query in (*split.search, *split.held_out)]
    assert len(set(texts)) == len(texts)
    assert {*split.search, *split.held_out} <= set(pool)


@given(pools, counts, counts, st.integers(0, 99))
def test_at_most_half_is_held_out_and_the_rest_is_there_to_search_on(
    pool: list[Query], search: int, held_out: int, seed: int
) -> None:
    distinct = len({key(query) for query in pool})
    split = split_queries(pool, search=search, held_out=held_out, seed=seed)
    assert len(split.held_out) == min(held_out, distinct // 2)
    assert len(split.search) == min(search, distinct - len(split.held_out))


@given(pools, counts, counts, st.integers(0, 99), st.randoms(use_true_random=False))
def test_the_split_follows_from_the_seed_alone(
    pool: list[Query], search: int, held_out: int, seed: int, random: object
) -> None:
    distinct = list({key(query): query for query in reversed(pool)}.values())
    first = split_queries(pool, search=search, held_out=held_out, seed=seed)
    assert split_queries(pool, search=search, held_out=held_out, seed=seed) == first
    assert split_queries(distinct, search=search, held_out=held_out, seed=seed) == first, "order is no matter"


def test_another_seed_gives_another_order() -> None:
    pool = [Query(id=f"q{number:02}", text=f"question {number}") for number in range(40)]
    orders = {split_queries(pool, search=40, held_out=0, seed=seed).search for seed in range(10)}
    assert len(orders) == 10
    assert tuple(pool) not in orders


def test_of_equal_texts_the_first_is_taken() -> None:
    pool = [Query(id="b", text="Same text"), Query(id="a", text="same  TEXT ")]
    assert split_queries(pool, search=5, held_out=5, seed=0).search == (pool[0],)


@given(pools, counts, counts, st.integers(0, 99), st.lists(st.sampled_from(["ONE", "two ", "4", "9"])))
def test_what_an_example_shows_is_searched_on_but_never_held_out(
    pool: list[Query], search: int, held_out: int, seed: int, shown: list[str]
) -> None:
    split = split_queries(pool, search=search, held_out=held_out, seed=seed, shown=shown)
    answered = {key(Query(id="", text=text)) for text in shown}
    texts = {key(query) for query in pool}
    assert answered.isdisjoint(key(query) for query in split.held_out)
    assert len(split.held_out) == min(held_out, len(texts) // 2, len(texts - answered))
    assert len(split.search) == min(search, len(texts) - len(split.held_out))
    assert set(split.search).isdisjoint(split.held_out)


def test_examples_about_other_things_change_nothing() -> None:
    pool = [Query(id=f"q{number:02}", text=f"question {number}") for number in range(40)]
    plain, other = (
        split_queries(pool, search=9, held_out=9, seed=1, shown=shown) for shown in ([], ["else"])
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
