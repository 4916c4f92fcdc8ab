"""The service that the clients ask, on a scripted backend."""

from collections.abc import AsyncIterator

import pytest

from tests.app.access.stored_keys import add_key
from tests.app.chat.serving import MODEL, Listening, add_version, serve_service
from tests.clients.backend import EMBEDDER, script

ADMIN_KEY = "sk-ours-0123456789abcdef"


@pytest.fixture
async def listening(sqlite_url: str) -> AsyncIterator[Listening]:
    """The service with an aligned model, an embedding model and keys."""
    embedders = {EMBEDDER: {"backend": "upstream", "model": "vendor-embedder-1"}}
    async with serve_service(sqlite_url, embedders=embedders, server={"api_key": ADMIN_KEY}) as opened:
        opened.fake.script = script
        await add_version(opened.prompts, "Be {{how}}.", model=MODEL)
        yield opened


@pytest.fixture
async def key(listening: Listening) -> str:
    """A key that may serve, and nothing else."""
    key, _ = await add_key(listening.resources.access.keys)
    return key
