from collections.abc import Mapping, Sequence

from typing_extensions import override

from app.llm.cached_embedder import CachedEmbedder
from optimizer.protocols import Vectors
from store.connections import Database
from store.repositories.embeddings import EmbeddingRepository
from tests.fakes.embeddings import WordEmbedder


async def test_no_text_is_embedded_twice(database: Database) -> None:
    model = WordEmbedder()
    expected = await WordEmbedder().embed(["a b", "c", "a b"])
    assert (
        await CachedEmbedder(model, EmbeddingRepository(database)).embed(["a b", "c", "a b"])
    ).tolist() == (expected.tolist())
    again = CachedEmbedder(model, EmbeddingRepository(database))
    assert (await again.embed(["c", "d"])).tolist() == (await WordEmbedder().embed(["c", "d"])).tolist()
    assert model.asked == [("a b", "c"), ("d",)]


async def test_models_don_t_share_vectors(database: Database) -> None:
    for name in ("fake/one", "fake/other"):
        model = WordEmbedder(name)
        await CachedEmbedder(model, EmbeddingRepository(database)).embed(["a"])
        assert model.asked == [("a",)]


async def test_what_somebody_else_has_kept_meanwhile_is_used(database: Database) -> None:
    class Late(EmbeddingRepository):
        @override
        async def find(self, model: str, texts: Sequence[str]) -> dict[str, bytes]:
            return {}

    await CachedEmbedder(WordEmbedder(), EmbeddingRepository(database)).embed(["a"])

    class Other(WordEmbedder):
        @override
        async def embed(self, texts: Sequence[str]) -> Vectors:
            return await super().embed(["z"])

    found = await CachedEmbedder(Other(), Late(database)).embed(["a"])
    assert found.tolist() == (await WordEmbedder().embed(["a"])).tolist()


async def test_many_texts_are_kept_and_found(database: Database) -> None:
    repository = EmbeddingRepository(database)
    vectors: Mapping[str, bytes] = {f"text {number} \ud83d": bytes([number % 256]) for number in range(1100)}
    assert await repository.put("m", vectors) == vectors
    assert await repository.find("m", list(vectors)) == vectors
    assert await repository.find("other", list(vectors)) == {}
    assert await repository.put("m", {}) == {}
