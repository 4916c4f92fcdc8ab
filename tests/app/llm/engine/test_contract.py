"""The contract of chat models, on the engine in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from typing_extensions import override

from app.backend_settings import SimulatedFaults, SimulatedSettings
from app.llm.engine.port import EngineDiedError
from optimizer.errors import BackendUnavailableError, ModelError
from optimizer.protocols import ChatModel
from tests.app.llm.engine.opening import model_on
from tests.contracts.chat_model import ChatModelContract, OpenModel
from tests.fakes.engine import FakeEngine

DEATHS: list[tuple[SimulatedFaults, type[ModelError]]] = [
    (SimulatedFaults(server_error=1), BackendUnavailableError),
]


class TestTheEngine(ChatModelContract):
    @pytest.fixture
    def open_model(self, monkeypatch: pytest.MonkeyPatch) -> OpenModel:
        @asynccontextmanager
        async def opened(settings: SimulatedSettings, model: str) -> AsyncIterator[ChatModel]:
            engine = FakeEngine(context=5000, hangs=bool(settings.latency_ms))
            if settings.faults.server_error:
                engine.failure = EngineDiedError("the engine is dead")
            monkeypatch.setattr("tests.app.llm.engine.opening.MODEL", model)
            async with model_on(engine, monkeypatch, model=model) as on_it:
                yield on_it

        return opened

    @override
    @pytest.mark.parametrize(("faults", "kind"), DEATHS)  # there is no connection that could be lost
    async def test_a_fault_is_an_error_of_its_kind(
        self, open_model: OpenModel, faults: SimulatedFaults, kind: type[ModelError]
    ) -> None:
        await super().test_a_fault_is_an_error_of_its_kind(open_model, faults, kind)
