"""Opening models for tests: over HTTP against the fake server, and on the simulated transport."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from app.backend_settings import SimulatedSettings
from app.llm.capabilities import Capabilities
from app.llm.embeddings import EmbeddingCalls, Encoding
from app.llm.errors import Origin
from app.llm.http import BackendClient
from app.llm.openai_compatible import OpenAICompatibleModel
from app.llm.wire import Api
from app.settings import BackendSettings
from optimizer.protocols import ChatModel
from tests.fakes.openai_server import (
    Answer,
    Drop,
    Exchange,
    FakeOpenAIServer,
    Reply,
    error,
    serve,
    well_behaved,
)

KEY = SecretStr("sk-test-0123456789")


def backend_settings(fake: FakeOpenAIServer, **fields: object) -> BackendSettings:
    """Settings of a backend that is the fake server."""
    return BackendSettings.model_validate({"base_url": fake.url, **fields})


def origin(model: str = "m", *, key: SecretStr | None = KEY) -> Origin:
    """The backend ``b`` in the role of the judge."""
    return Origin(backend="b", model=model, setting="roles.judge", key=key)


@asynccontextmanager
async def open_adapter(
    settings: BackendSettings,
    *,
    model: str = "m",
    api: Api = "chat",
    capabilities: Capabilities | None = None,
) -> AsyncIterator[OpenAICompatibleModel]:
    """The bare adapter, without any wrapper."""
    async with BackendClient(settings, key=KEY) as client:
        yield OpenAICompatibleModel(
            client,
            settings,
            origin=origin(model),
            api=api,
            capabilities=capabilities or Capabilities(),
            clock=time.monotonic,
        )


@asynccontextmanager
async def open_embedding_calls(
    settings: BackendSettings, *, model: str = "e", encoding: Encoding = "base64"
) -> AsyncIterator[EmbeddingCalls]:
    """The bare adapter of an embedding model."""
    async with BackendClient(settings, key=KEY) as client:
        yield EmbeddingCalls(client, settings, origin=origin(model), encoding=encoding, clock=time.monotonic)


@asynccontextmanager
async def open_over_http(settings: SimulatedSettings, model: str) -> AsyncIterator[ChatModel]:
    """The adapter against the fake server, which has the faults that ``settings`` ask for."""

    def script(exchange: Exchange) -> Reply:
        faults = settings.faults
        if settings.latency_ms:
            return Answer(gate=asyncio.Event())
        if faults.rate_limited:
            return error(429)
        if faults.server_error:
            return error(503)
        if faults.connection_lost:
            return Drop()
        return Answer(body=b"<html>") if faults.malformed_response else well_behaved(exchange)

    async with serve() as fake:
        fake.script = script
        async with open_adapter(backend_settings(fake), model=model) as opened:
            yield opened


@asynccontextmanager
async def open_simulated(settings: SimulatedSettings, model: str) -> AsyncIterator[ChatModel]:
    """The adapter on the simulated transport."""
    async with open_adapter(BackendSettings(kind="simulated", simulated=settings), model=model) as opened:
        yield opened
