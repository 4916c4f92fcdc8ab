import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.examples.retrieval import LexicalRetriever
from optimizer.types import Example

QUERIES = (
    "How do I bake sourdough bread at home?",
    "What is the capital of France?",
    "Write a short poem about the sea",
    "How do I bake a cake?",
    "Wie heißt der höchste Berg Österreichs?",
    "東京 の 天気 は どう ですか",
)
words = st.sampled_from(
    ["bread", "cake", "the", "capital", "sea", "Berg", "höchste", "東京", "zebra", "?", "\n"]
)


def make_bank(*queries: str) -> tuple[Example, ...]:
    return tuple(Example(id=f"e{place}", query=query, answer="a") for place, query in enumerate(queries))


def ids(retriever: LexicalRetriever, query: str, k: int) -> list[str]:
    return [example.id for example in asyncio.run(retriever.retrieve(query, k))]


RETRIEVER = LexicalRetriever(make_bank(*QUERIES))


@pytest.mark.parametrize(
    ("query", "nearest"),
    [
        ("Which flour suits sourdough bread?", "e0"),
        ("CAPITAL cities", "e1"),
        ("a poem", "e2"),
        ("cake recipe", "e3"),
        ("der höchste Turm", "e4"),
        ("東京", "e5"),
    ],
)
def test_the_nearest_example_shares_the_telling_words(query: str, nearest: str) -> None:
    assert ids(RETRIEVER, query, 1) == [nearest]


def test_examples_come_most_similar_first() -> None:
    assert ids(RETRIEVER, "bake sourdough bread", 2) == ["e0", "e3"]


@pytest.mark.parametrize("query", ["", "the of and", "zebra", "\U0001f642", "?!", " \n "])
def test_without_a_word_in_common_examples_come_in_the_order_of_the_bank(query: str) -> None:
    assert ids(RETRIEVER, query, 3) == ["e0", "e1", "e2"]


def test_ties_come_in_the_order_of_the_bank() -> None:
    retriever = LexicalRetriever(make_bank("other things", "red apple", "red apple", "red apple"))
    assert ids(retriever, "apple", 4) == ["e1", "e2", "e3", "e0"]


def test_ties_in_a_large_bank_come_in_its_order() -> None:
    retriever = LexicalRetriever(
        make_bank(*(("red apple", "blue plum", "grey stone")[at % 3] for at in range(90)))
    )
    apples, others = range(0, 90, 3), [place for place in range(90) if place % 3]
    assert ids(retriever, "apple", 90) == [f"e{place}" for place in (*apples, *others)]


@pytest.mark.parametrize("bank", [(), ("the",), ("", "?!", "of the")])
def test_a_bank_without_any_telling_word_gives_its_order(bank: tuple[str, ...]) -> None:
    expected = [f"e{place}" for place in range(len(bank))][:2]
    assert ids(LexicalRetriever(make_bank(*bank)), "bread", 2) == expected


@given(st.lists(words, max_size=8).map(" ".join) | st.text(max_size=30), st.integers(0, 9))
def test_any_query_gets_k_different_examples_and_always_the_same(query: str, k: int) -> None:
    found = ids(RETRIEVER, query, k)
    assert len(found) == len(set(found)) == min(k, len(QUERIES))
    assert ids(RETRIEVER, query, k) == found
    assert ids(LexicalRetriever(make_bank(*QUERIES)), query, k) == found
    assert ids(RETRIEVER, query, 9)[:k] == found
