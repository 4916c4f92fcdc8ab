from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from app.llm.embeddings import BackendEmbedder
from app.llm.local_embeddings import LocalEmbedder
from app.llm.simulated.embeddings import EMBEDDER
from app.settings import BackendSettings
from optimizer.protocols import Embedder
from tests.app.llm.opening import backend_settings, open_embedding_calls
from tests.contracts.embedder import EmbedderContract
from tests.fakes.embeddings import WordEncoder, embeddings, model_folder
from tests.fakes.openai_server import serve


@asynccontextmanager
async def over_http(_: Path) -> AsyncIterator[Embedder]:
    async with serve() as fake:
        fake.script = embeddings
        async with open_embedding_calls(backend_settings(fake)) as calls:
            yield BackendEmbedder(calls, batch_size=4)


@asynccontextmanager
async def over_http_in_numbers(_: Path) -> AsyncIterator[Embedder]:
    async with serve() as fake:
        fake.script = embeddings
        async with open_embedding_calls(backend_settings(fake), encoding="float") as calls:
            yield BackendEmbedder(calls, batch_size=4)


@asynccontextmanager
async def simulated(_: Path) -> AsyncIterator[Embedder]:
    async with open_embedding_calls(BackendSettings(kind="simulated"), model=EMBEDDER) as calls:
        yield BackendEmbedder(calls, batch_size=4)


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Embedder]:
    embedder = LocalEmbedder(model_folder(folder), label="words", batch_size=4, load=WordEncoder)
    yield embedder
    await embedder.aclose()


class TestEmbedders(EmbedderContract):
    @pytest.fixture(params=[over_http, over_http_in_numbers, simulated, local])
    async def embedder(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Embedder]:
        opened: Callable[[Path], AbstractAsyncContextManager[Embedder]] = request.param
        async with opened(tmp_path / "model") as embedder:
            yield embedder
