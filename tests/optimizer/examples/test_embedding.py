import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from optimizer.concurrency import run_together
from optimizer.errors import (
    BackendUnavailableError,
    MalformedResponseError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.examples.embedding import READ_CHARACTERS, EmbeddingRetriever
from optimizer.protocols import Vectors
from optimizer.types import Example
from tests.fakes.embeddings import WordEmbedder

QUERIES = ("bake bread at home", "the capital of France", "a poem about the sea", "bake a cake")


def make_bank(*queries: str) -> tuple[Example, ...]:
    return tuple(Example(id=f"e{place}", query=query, answer="a") for place, query in enumerate(queries))


async def ids(retriever: EmbeddingRetriever, query: str, k: int) -> list[str]:
    return [example.id for example in await retriever.retrieve(query, k)]


async def test_the_nearest_examples_come_first_and_the_bank_is_embedded_once() -> None:
    embedder = WordEmbedder()
    retriever = EmbeddingRetriever(make_bank(*QUERIES), embedder)
    assert await ids(retriever, "capital France", 1) == ["e1"]
    assert await ids(retriever, "bake bread", 2) == ["e0", "e3"]
    assert await ids(retriever, "bake bread", 9) == ["e0", "e3", "e1", "e2"]
    assert embedder.asked == [QUERIES, ("capital France",), ("bake bread",)]


async def test_those_who_ask_at_the_same_time_share_the_calls() -> None:
    embedder = WordEmbedder()
    retriever = EmbeddingRetriever(make_bank(*QUERIES), embedder)
    found = await run_together(ids(retriever, "the sea", 1) for _ in range(5))
    assert found == [["e2"]] * 5
    assert embedder.asked == [QUERIES, ("the sea",)]


async def test_queries_that_are_prepared_take_one_call() -> None:
    embedder = WordEmbedder()
    retriever = EmbeddingRetriever(make_bank(*QUERIES), embedder)
    await retriever.prepare(["the sea", "a cake", "the sea", " \n"])
    await retriever.prepare(["a cake"])
    assert [await ids(retriever, query, 1) for query in ("the sea", "a cake")] == [["e2"], ["e3"]]
    assert embedder.asked == [QUERIES, ("the sea", "a cake")]


async def test_the_longest_unused_query_is_forgotten_first() -> None:
    embedder = WordEmbedder()
    retriever = EmbeddingRetriever(make_bank(*QUERIES), embedder, remembered=2)
    for query in ("one", "two", "one", "three", "one", "two"):
        await retriever.retrieve(query, 1)
    assert embedder.asked[1:] == [("one",), ("two",), ("three",), ("two",)]


async def test_ties_come_in_the_order_of_the_bank() -> None:
    retriever = EmbeddingRetriever(make_bank("other", *["red apple"] * 40), WordEmbedder())
    assert await ids(retriever, "apple", 41) == [*(f"e{place}" for place in range(1, 41)), "e0"]


@pytest.mark.parametrize("query", ["", " \n\t"])
async def test_a_query_without_text_gets_the_order_of_the_bank_and_no_call(query: str) -> None:
    embedder = WordEmbedder()
    retriever = EmbeddingRetriever(make_bank(*QUERIES), embedder)
    assert await ids(retriever, query, 2) == ["e0", "e1"]
    assert embedder.asked == []


@pytest.mark.parametrize("bank", [(), ("", "  ")])
async def test_a_bank_without_text_is_not_embedded(bank: tuple[str, ...]) -> None:
    embedder = WordEmbedder()
    retriever = EmbeddingRetriever(make_bank(*bank), embedder)
    await retriever.prepare(["bread"])
    assert await ids(retriever, "bread", 2) == [f"e{place}" for place in range(len(bank))]
    assert embedder.asked == []


async def test_no_examples_wanted_is_no_call() -> None:
    embedder = WordEmbedder()
    assert await EmbeddingRetriever(make_bank(*QUERIES), embedder).retrieve("bread", 0) == ()
    assert embedder.asked == []


async def test_a_text_without_any_vector_is_like_no_other() -> None:
    class Silent(WordEmbedder):
        @override
        async def embed(self, texts: Sequence[str]) -> Vectors:
            return np.zeros((len(texts), 4), dtype=np.float32)

    assert await ids(EmbeddingRetriever(make_bank(*QUERIES), Silent()), "bread", 2) == ["e0", "e1"]


async def test_an_example_without_text_is_found_last() -> None:
    retriever = EmbeddingRetriever(make_bank(" ", "red apple"), WordEmbedder())
    assert await ids(retriever, "apple", 2) == ["e1", "e0"]


async def test_of_a_long_text_the_beginning_counts() -> None:
    embedder = WordEmbedder()
    retriever = EmbeddingRetriever(make_bank("x" * (READ_CHARACTERS + 5)), embedder)
    await retriever.retrieve("y" * (READ_CHARACTERS + 5), 1)
    assert [len(texts[0]) for texts in embedder.asked] == [READ_CHARACTERS] * 2


async def test_half_a_character_is_not_sent() -> None:
    embedder = WordEmbedder()
    await EmbeddingRetriever(make_bank("bread"), embedder).retrieve("bread \ud83d", 1)
    assert embedder.asked[1] == ("bread ?",)


async def test_the_bank_may_have_an_embedder_of_its_own() -> None:
    kept, passing = WordEmbedder(), WordEmbedder()
    retriever = EmbeddingRetriever(make_bank(*QUERIES), passing, bank_embedder=kept)
    assert await ids(retriever, "the sea", 1) == ["e2"]
    assert (kept.asked, passing.asked) == ([QUERIES], [("the sea",)])


async def test_vectors_of_another_length_are_an_error() -> None:
    class Changed(WordEmbedder):
        @override
        async def embed(self, texts: Sequence[str]) -> Vectors:
            return np.ones((1, 4), dtype=np.float32)

    retriever = EmbeddingRetriever(make_bank(*QUERIES), Changed(), bank_embedder=WordEmbedder())
    with pytest.raises(MalformedResponseError, match="64 numbers for a text before and 4 now"):
        await retriever.retrieve("bread", 1)


async def test_a_query_that_is_refused_spoils_no_other() -> None:
    class Choosy(WordEmbedder):
        @override
        async def embed(self, texts: Sequence[str]) -> Vectors:
            vectors = await super().embed(texts)
            if "forbidden" in texts:
                raise RequestRefusedError("flagged", backend="fake", status=400)
            return vectors

    embedder = Choosy()
    retriever = EmbeddingRetriever(make_bank(*QUERIES), embedder)
    await retriever.prepare(["the sea", "forbidden"])
    assert await ids(retriever, "the sea", 1) == ["e2"]
    with pytest.raises(RequestRefusedError):
        await retriever.retrieve("forbidden", 1)


async def test_a_model_that_is_not_there_is_told_of_before_anything_else() -> None:
    embedder = WordEmbedder()
    retriever = EmbeddingRetriever(make_bank(*QUERIES), embedder)
    await retriever.retrieve("the sea", 1)
    embedder.fails_with = MisconfiguredError("no such model", backend="fake", status=404)
    with pytest.raises(MisconfiguredError):
        await retriever.prepare(["bread"])


async def test_a_failure_is_not_remembered() -> None:
    embedder = WordEmbedder()
    retriever = EmbeddingRetriever(make_bank(*QUERIES), embedder)
    embedder.fails_with = BackendUnavailableError("away", backend="fake")
    for _ in range(2):
        with pytest.raises(BackendUnavailableError):
            await retriever.retrieve("the sea", 1)
    embedder.fails_with = None
    assert await ids(retriever, "the sea", 1) == ["e2"]


@given(st.lists(st.text(max_size=20), max_size=6), st.text(max_size=20), st.integers(0, 7))
def test_any_query_gets_k_different_examples_and_always_the_same(
    queries: list[str], query: str, k: int
) -> None:
    bank = make_bank(*queries)

    async def find() -> list[str]:
        return await ids(EmbeddingRetriever(bank, WordEmbedder()), query, k)

    found = asyncio.run(find())
    assert len(found) == len(set(found)) == min(k, len(bank))
    assert asyncio.run(find()) == found
