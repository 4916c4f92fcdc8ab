"""The adapter on an engine in this process, opened as a test says."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.llm.capabilities import Capabilities
from app.llm.connections import Connections, TransportConnections
from app.llm.engine.port import Engine
from app.llm.engine.transport import EngineTransport
from app.llm.http import BackendClient
from app.llm.openai_compatible import OpenAICompatibleModel
from app.llm.wire import Api
from app.settings import BackendSettings
from app.vllm_settings import EngineSettings
from tests.app.llm.opening import origin

MODEL = "tiny"
SETTINGS = BackendSettings.model_validate({"kind": "vllm", "engine": {"model": MODEL}})


@asynccontextmanager
async def client_of(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BackendClient]:
    """A backend's client, whose connections lead to ``engine``."""

    def connections(settings: BackendSettings) -> Connections:
        transport = EngineTransport(EngineSettings(model=MODEL), open_with=lambda _: engine)
        return TransportConnections(transport, settings.timeouts)

    monkeypatch.setattr("app.llm.http.open_connections", connections)
    async with BackendClient(SETTINGS, key=None) as client:
        yield client


@asynccontextmanager
async def model_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, api: Api = "chat", model: str = MODEL
) -> AsyncIterator[OpenAICompatibleModel]:
    """The bare adapter."""
    async with client_of(engine, monkeypatch) as client:
        yield OpenAICompatibleModel(
            client,
            SETTINGS,
            origin=origin(model, key=None),
            api=api,
            capabilities=Capabilities(),
            clock=time.monotonic,
        )
