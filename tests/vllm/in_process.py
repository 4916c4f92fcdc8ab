"""vLLM's engine in this process: the contract of chat models, and a whole job, on the tiny model.

Runs where drpo and vLLM are in one environment; see ``requirements/vllm.sh``.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from typing_extensions import override

from app.backend_settings import SimulatedFaults, SimulatedSettings
from app.llm.capabilities import DECLARED
from app.llm.connections import Connections, TransportConnections
from app.llm.emulated_n import with_several
from app.llm.engine.library import open_engine
from app.llm.engine.port import Engine, EngineDiedError, RequestOutput
from app.llm.engine.transport import EngineTransport
from app.llm.http import BackendClient
from app.llm.openai_compatible import OpenAICompatibleModel
from app.llm.text_scoring import BackendTextScorer, ScoringCalls, TextScorer
from app.llm.token_counts import TokenCounter
from app.settings import BackendSettings
from app.vllm_settings import EngineSettings
from optimizer.errors import BackendUnavailableError, ModelError
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, JsonObject, Sampling
from tests.app.jobs.service import open_service
from tests.app.llm.opening import origin
from tests.contracts.chat_model import QUESTION, ChatModelContract, OpenModel
from tests.contracts.text_scorer import OpenScorer, TextScorerContract
from tests.vllm.server import ENVIRONMENT, tiny_model

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),  # an engine belongs to the loop that asked it first
    pytest.mark.filterwarnings("default"),  # what vLLM loads warns of much
]

ARGUMENTS: JsonObject = {
    "dtype": "float32",
    "enforce_eager": True,
    "block_size": 32,
    "kv_cache_memory_bytes": 256 << 20,
    "max_model_len": 4096,
}
DEATHS: list[tuple[SimulatedFaults, type[ModelError]]] = [
    (SimulatedFaults(server_error=1), BackendUnavailableError),
]


class SharedEngine(Engine):
    """A loaded engine that many tests use: closing it leaves it open."""

    def __init__(self, engine: Engine, *, endless: bool = False, is_dead: bool = False) -> None:
        self._engine = engine
        self._endless = endless
        self._is_dead = is_dead
        self.context = engine.context
        self.defaults = engine.defaults
        self.fingerprint = engine.fingerprint

    @override
    def chat_tokens(self, messages: list[JsonObject], options: JsonObject) -> list[int]:
        return self._engine.chat_tokens(messages, options)

    @override
    def text_tokens(self, text: str) -> list[int]:
        return self._engine.text_tokens(text)

    @override
    async def generate(
        self, tokens: list[int], sampling: JsonObject, *, streams: bool, priority: int
    ) -> AsyncGenerator[RequestOutput, None]:
        if self._is_dead:
            raise EngineDiedError("the engine is dead")
        asked = {**sampling, "ignore_eos": True, "max_tokens": 3000} if self._endless else sampling
        async with aclosing(
            self._engine.generate(tokens, asked, streams=streams, priority=priority)
        ) as outputs:
            async for output in outputs:
                yield output

    @override
    def close(self) -> None:
        """Nothing: others use it, too."""


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setitem(os.environ, name, value)
        yield


@pytest.fixture(scope="module")
def engine(environment: None) -> Iterator[Engine]:
    opened = open_engine(EngineSettings(model=str(tiny_model() / "model"), arguments=ARGUMENTS))
    yield opened
    opened.close()


@asynccontextmanager
async def client_on(engine: Engine, name: str) -> AsyncIterator[tuple[BackendClient, BackendSettings]]:
    """A backend's client, whose connections lead to ``engine``, which calls its model ``name``."""
    settings = BackendSettings.model_validate({"kind": "vllm", "engine": {"model": name}})

    def connections(settings: BackendSettings) -> Connections:
        transport = EngineTransport(EngineSettings(model=name), open_with=lambda _: engine)
        return TransportConnections(transport, settings.timeouts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.llm.http.open_connections", connections)
        async with BackendClient(settings, key=None) as client:
            yield client, settings


@asynccontextmanager
async def model_on(engine: Engine, name: str) -> AsyncIterator[ChatModel]:
    """The bare adapter."""
    async with client_on(engine, name) as (client, settings):
        yield OpenAICompatibleModel(
            client,
            settings,
            origin=origin(name, key=None),
            api="chat",
            capabilities=DECLARED["vllm"],
            clock=time.monotonic,
        )


class TestTheRealEngine(ChatModelContract):
    @pytest.fixture
    def open_model(self, engine: Engine) -> OpenModel:
        @asynccontextmanager
        async def opened(settings: SimulatedSettings, model: str) -> AsyncIterator[ChatModel]:
            shared = SharedEngine(
                engine, endless=bool(settings.latency_ms), is_dead=bool(settings.faults.server_error)
            )
            async with model_on(shared, model) as on_it:
                yield on_it

        return opened

    @override
    @pytest.mark.parametrize(("faults", "kind"), DEATHS)  # there is no connection that could be lost
    async def test_a_fault_is_an_error_of_its_kind(
        self, open_model: OpenModel, faults: SimulatedFaults, kind: type[ModelError]
    ) -> None:
        await super().test_a_fault_is_an_error_of_its_kind(open_model, faults, kind)


class TestTextsOnTheRealEngine(TextScorerContract):
    @pytest.fixture
    def open_scorer(self, engine: Engine) -> OpenScorer:
        @asynccontextmanager
        async def opened(plain: bool) -> AsyncIterator[TextScorer]:
            async with client_on(SharedEngine(engine), "tiny") as (client, settings):
                yield BackendTextScorer(
                    ScoringCalls(
                        client=client,
                        settings=settings,
                        origin=origin("tiny", key=None),
                        api="completions" if plain else "chat",
                        way="prompt_logprobs",
                        folds_system=False,
                        clock=time.monotonic,
                    )
                )

        return opened


@pytest.mark.parametrize("temperature", [0.0, 1.0])
async def test_several_answers_come_at_every_temperature(engine: Engine, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, max_tokens=20)
    async with model_on(SharedEngine(engine), "tiny") as model:
        several = with_several(model, DECLARED["vllm"])
        result = await several.complete(
            CompletionRequest(prompt=QUESTION.prompt, sampling=sampling, n=3, seed=1)
        )
    texts = [completion.text for completion in result.completions]
    assert len(texts) == 3
    assert (len(set(texts)) == 1) == (temperature == 0)


async def test_log_probabilities_come_with_their_alternatives(engine: Engine) -> None:
    asked = CompletionRequest(
        prompt=QUESTION.prompt, sampling=Sampling(temperature=0, max_tokens=4), top_logprobs=20
    )
    async with model_on(SharedEngine(engine), "tiny") as model:
        logprobs: Any = (await model.complete(asked)).completions[0].logprobs
    assert {len(place["top_logprobs"]) for place in logprobs["content"]} == {20}
    assert all(place["top_logprobs"][0]["logprob"] == place["logprob"] for place in logprobs["content"])


async def test_it_counts_a_prompt_as_it_bills_it(engine: Engine) -> None:
    async with client_on(SharedEngine(engine), "tiny") as (client, settings):
        counter = TokenCounter(client, settings, origin=origin("tiny", key=None), folds_system=False)
        counted = await counter.count(QUESTION)
    async with model_on(SharedEngine(engine), "tiny") as model:
        usage = (await model.complete(QUESTION)).usage
    assert usage is not None
    assert counted == usage.prompt_tokens


async def test_a_job_goes_on_after_its_engine_was_killed(environment: None, sqlite_url: str) -> None:
    others = set(multiprocessing.active_children())
    place: JsonObject = {"model": str(tiny_model() / "model"), "name": "tiny", "arguments": ARGUMENTS}
    simulated = {"backend": "simulated", "model": "simulated-critic"}
    async with open_service(
        sqlite_url,
        more_backends={"engine": {"kind": "vllm", "engine": place}},
        targets={"tiny": {"backend": "engine", "model": "tiny"}},
        roles={"proposer": simulated, "selector": simulated, "judge": simulated},
    ) as service:
        started = await service.start(target="tiny", settings={"target": {"max_tokens": 40}})
        await service.wait_for(started, "evaluation_finished")
        [process] = set(multiprocessing.active_children()) - others
        process.kill()
        found = await service.finished(started)
        evaluations = await service.evaluations(started)
    assert found["status"] == "succeeded", found["error"]
    assert evaluations
    assert not [item for item in evaluations if item["reward"] is None]
    assert process.exitcode == -signal.SIGKILL
    [fingerprint] = found["result"]["backends"]["target"]["fingerprints"]
    assert fingerprint.startswith("vllm-0.32")
