"""Finding examples for users: by meaning where that can be done in time, else by words, and it says which."""

import asyncio
import logging

import pytest
from typing_extensions import override

from app.retrieval import ServingRetriever
from optimizer.errors import BackendUnavailableError
from optimizer.examples.embedding import EmbeddingRetriever
from optimizer.examples.retrieval import LexicalRetriever
from optimizer.protocols import Vectors
from optimizer.types import Example
from store.errors import StoreUnavailableError
from tests.fakes.embeddings import WordEmbedder
from tests.fakes.search import ManualClock

BANK = (
    Example(id="e1", query="boil an egg", answer="Eight minutes."),
    Example(id="e2", query="the blue sky", answer="Scattering."),
)


class HangingEmbedder(WordEmbedder):
    """Never answers."""

    @override
    async def embed(self, texts: object) -> Vectors:
        await asyncio.Event().wait()
        raise AssertionError


def retriever_with(embedder: WordEmbedder, clock: ManualClock, patience: float = 5.0) -> ServingRetriever:
    embeddings = EmbeddingRetriever(BANK, embedder)
    return ServingRetriever(LexicalRetriever(BANK), embeddings, patience=patience, clock=clock)


async def nearest(retriever: ServingRetriever) -> tuple[list[str], str]:
    found = await retriever.nearest("why is the sky blue", 1)
    return [example.id for example in found.examples], found.found_by


async def test_examples_are_found_by_meaning() -> None:
    assert await nearest(retriever_with(WordEmbedder(), ManualClock())) == (["e2"], "embeddings")


@pytest.mark.parametrize(
    "failure", [BackendUnavailableError("away", backend="fake"), StoreUnavailableError("gone")]
)
async def test_while_the_model_is_away_words_decide_and_it_is_left_alone_for_a_while(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    embedder, clock = WordEmbedder(), ManualClock()
    retriever = retriever_with(embedder, clock)
    embedder.fails_with = failure
    assert [await nearest(retriever) for _ in range(3)] == [(["e2"], "lexical-fallback")] * 3
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == len(embedder.asked) == 1
    embedder.fails_with = None
    clock.now += 9.9
    assert (await nearest(retriever))[1] == "lexical-fallback"
    clock.now += 0.2
    assert [await nearest(retriever) for _ in range(2)] == [(["e2"], "embeddings")] * 2


async def test_a_model_that_is_too_slow_keeps_no_answer_back(caplog: pytest.LogCaptureFixture) -> None:
    retriever = retriever_with(HangingEmbedder(), ManualClock(), patience=0.01)
    assert await nearest(retriever) == (["e2"], "lexical-fallback")
    assert "retrieval.timeout_seconds" in caplog.text
