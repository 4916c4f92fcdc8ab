import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from app.llm.capabilities import DECLARED, Capabilities, CapabilityRecords
from app.llm.metering import Meter
from app.llm.prices import Price
from app.llm.registry import ModelRegistry
from app.llm.run_context import RunContext
from app.settings import Settings
from optimizer.budget import Budget, Limits
from optimizer.concurrency import run_together
from optimizer.errors import BudgetExceededError, InvalidInputError, MisconfiguredError
from optimizer.types import CompletionRequest, JsonObject, ModelRole, Spend
from tests.app.llm.scripted import budget_of, small_request
from tests.app.llm.test_ledger import MemoryRecords
from tests.fakes.openai_server import (
    Answer,
    Exchange,
    FakeOpenAIServer,
    Reply,
    Script,
    error,
    serve,
    well_behaved,
)

ALL = Capabilities().to_json()


def settings_for(fake: FakeOpenAIServer, **backend: object) -> Settings:
    role = {"backend": "local", "model": "critic"}
    return Settings.model_validate(
        {
            "backends": {"local": {"base_url": fake.url, "capabilities": ALL, **backend}},
            "targets": {
                "helper": {"backend": "local", "model": "small"},
                "base": {"backend": "local", "model": "plain", "api": "completions"},
            },
            "roles": {"proposer": role, "selector": role, "judge": role},
        }
    )


async def no_wait(_: float) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def opened(
    settings: Settings, capability_records: CapabilityRecords | None = None
) -> AsyncIterator[ModelRegistry]:
    registry = ModelRegistry(settings, sleep=no_wait, capability_records=capability_records)
    try:
        yield registry
    finally:
        await registry.aclose()


def run_of(budget: Budget | None = None, records: MemoryRecords | None = None) -> RunContext:
    return RunContext(scope="run", budget=budget or budget_of(), meter=Meter(), seed=1, records=records)


def held_back(gate: asyncio.Event) -> Script:
    """A server that answers for the critic only when the gate is open."""

    def script(exchange: Exchange) -> Reply:
        reply = well_behaved(exchange)
        assert isinstance(reply, Answer)
        return Answer(body=reply.body, gate=gate if exchange.body["model"] == "critic" else None)

    return script


@dataclass
class MemoryCapabilities(CapabilityRecords):
    """Capability records in memory."""

    rows: dict[tuple[str, str], JsonObject] = field(default_factory=dict)

    @override
    async def get(self, backend: str, model: str) -> JsonObject | None:
        return self.rows.get((backend, model))

    @override
    async def put(self, backend: str, model: str, record: JsonObject) -> None:
        self.rows[backend, model] = record


async def test_targets_are_listed_and_found() -> None:
    async with opened(Settings.model_validate({})) as registry:
        assert registry.target_names() == ("simulated-small", "simulated-chat", "simulated-base")
        assert registry.target("simulated-base").api == "completions"
        assert registry.model_name(ModelRole.TARGET, "simulated-chat") == "simulated/simulated-chat"
        assert registry.model_name(ModelRole.JUDGE) == "simulated/simulated-critic"


@pytest.mark.parametrize("target", ["nobody", "", None])
async def test_an_unknown_target_is_told_which_exist(target: str | None) -> None:
    async with opened(Settings.model_validate({})) as registry:
        with pytest.raises(InvalidInputError, match="use one of simulated-small, simulated-chat") as caught:
            await registry.open_role(ModelRole.TARGET, target, run_of())
        assert caught.value.param == "model"
        with pytest.raises(InvalidInputError):
            registry.routes(target or "")


async def test_a_backend_whose_key_is_missing_is_refused_at_the_start() -> None:
    async with serve() as fake:
        settings = settings_for(fake, api_key_env="ABSENT_KEY")
        with pytest.raises(InvalidInputError, match=r"backends\.local\.api_key_env"):
            ModelRegistry(settings)


async def test_a_role_is_its_model_behind_the_whole_stack() -> None:
    price = {"input_per_million": 1e6, "output_per_million": 2e6}
    records, run = MemoryRecords(), None
    async with serve() as fake, opened(settings_for(fake, price=price)) as registry:
        run = run_of(records=records)
        judge = await registry.open_role(ModelRole.JUDGE, None, run)
        fake.push(error(429), error(500), Answer(body=b"<html>"))
        first = await judge.complete(small_request())
        assert await judge.complete(small_request()) == first
        assert registry.price(ModelRole.JUDGE) == Price(input_per_million=1e6, output_per_million=2e6)
    assert [exchange.body["model"] for exchange in fake.requests] == ["critic"] * 4
    # a 429, a 500, a garbled answer that may be billed, and the answer
    assert run.budget.spent == Spend(calls=4, prompt_tokens=21 + 7, completion_tokens=10 + 5, cost=58.0)
    assert run.meter.spend == run.budget.spent
    assert run.meter.uses[ModelRole.JUDGE].errors == 3
    assert run.meter.uses[ModelRole.JUDGE].replayed == 1
    bound = Spend(calls=1, prompt_tokens=21, completion_tokens=10, cost=41.0)
    assert records.log[0] == ("intend", "judge", "local/critic", bound)
    assert judge.name == "local/critic"


async def test_without_a_ledger_every_call_is_made() -> None:
    async with serve() as fake, opened(settings_for(fake)) as registry:
        target = await registry.open_role(ModelRole.TARGET, "helper", run_of())
        for _ in range(2):
            await target.complete(small_request())
    assert [exchange.body["model"] for exchange in fake.requests] == ["small", "small"]


async def test_a_base_target_is_asked_over_plain_completions() -> None:
    async with serve() as fake, opened(settings_for(fake)) as registry:
        target = await registry.open_role(ModelRole.TARGET, "base", run_of())
        await target.complete(CompletionRequest(prompt="Once"))
    assert fake.requests[0].path == "/v1/completions"


async def test_several_completions_are_emulated_where_they_are_missing() -> None:
    capabilities = {**ALL, "n": False}
    async with serve() as fake, opened(settings_for(fake, capabilities=capabilities)) as registry:
        judge = await registry.open_role(ModelRole.JUDGE, None, run_of(records=MemoryRecords()))
        result = await judge.complete(small_request(n=3, seed=1))
    assert len({completion.text for completion in result.completions}) == 3
    assert len(fake.requests) == 3
    assert all("n" not in exchange.body for exchange in fake.requests)


async def test_all_roles_of_a_run_share_its_budget_and_the_backend_s_places() -> None:
    async with serve() as fake, opened(settings_for(fake, max_concurrency=2)) as registry:
        gate = asyncio.Event()
        fake.script = held_back(gate)
        run = run_of(budget_of(Limits(calls=5)))
        roles = [ModelRole.JUDGE, ModelRole.SELECTOR, ModelRole.PROPOSER]
        models = await run_together(registry.open_role(role, None, run) for role in roles)
        calls = [
            asyncio.ensure_future(model.complete(small_request(seed=seed)))
            for model in models
            for seed in range(3)
        ]
        await fake.until(lambda: fake.in_flight == 2)
        gate.set()
        await asyncio.wait(calls)
        refused = [call for call in calls if isinstance(call.exception(), BudgetExceededError)]
    assert len(fake.requests) == 5
    assert len(refused) == 4
    assert fake.most_in_flight == 2


async def test_a_backend_is_probed_once_per_model_and_remembered_over_restarts() -> None:
    records = MemoryCapabilities()
    async with serve() as fake:
        settings = settings_for(fake, capabilities={"seed": False})
        async with opened(settings, capability_records=records) as registry:
            judge, proposer = await run_together(
                registry.capabilities(role) for role in (ModelRole.JUDGE, ModelRole.PROPOSER)
            )
            probes = len(fake.requests)
            assert judge == proposer == Capabilities(seed=False)
            await registry.capabilities(ModelRole.TARGET, "helper")
            assert len(fake.requests) == 2 * probes
        async with opened(settings, capability_records=records) as registry:
            assert await registry.capabilities(ModelRole.JUDGE) == judge
        assert len(fake.requests) == 2 * probes
        # The settings are applied to what was found, not written over it.
        async with opened(settings_for(fake, capabilities={}), capability_records=records) as registry:
            assert (await registry.capabilities(ModelRole.JUDGE)).seed
        assert len(fake.requests) == 2 * probes


@pytest.mark.parametrize(
    "record",
    [
        {"source": "chat http://elsewhere/v1", "capabilities": ALL},
        {"source": "completions URL", "capabilities": ALL},
        {"source": "chat URL", "capabilities": {"odd": 1}},
        {"source": "chat URL"},
        {},
    ],
)
async def test_a_record_of_another_server_or_program_is_probed_anew(record: JsonObject) -> None:
    async with serve() as fake:
        if "source" in record:
            record = {**record, "source": str(record["source"]).replace("URL", fake.url)}
        records = MemoryCapabilities({("local", "critic"): record})
        settings = settings_for(fake, capabilities={})
        async with opened(settings, capability_records=records) as registry:
            await registry.capabilities(ModelRole.JUDGE)
        assert len(fake.requests) > 1
    assert records.rows["local", "critic"]["source"] == f"chat {fake.url}"


@pytest.mark.parametrize("query", ["", "?api-key=a-secret"])
async def test_what_is_remembered_of_an_address_has_no_secret_in_it(query: str) -> None:
    records = MemoryCapabilities()
    async with serve() as fake:
        place = fake.url.replace("://", "://someone:a-secret@") + query
        settings = settings_for(fake, capabilities={}, base_url=place)
        async with opened(settings, capability_records=records) as registry:
            await registry.capabilities(ModelRole.JUDGE)
        probes = len(fake.requests)
        async with opened(settings, capability_records=records) as registry:
            await registry.capabilities(ModelRole.JUDGE)
        assert len(fake.requests) == probes
    source = str(records.rows["local", "critic"]["source"])
    assert source.startswith(f"chat {fake.url}{query[:1]}")
    assert "someone" not in source
    assert "secret" not in source


async def test_a_wrong_key_is_found_before_a_run_begins_and_not_remembered() -> None:
    records = MemoryCapabilities()
    async with serve() as fake:
        settings = settings_for(fake, capabilities={})
        fake.push(error(401))
        async with opened(settings, capability_records=records) as registry:
            with pytest.raises(MisconfiguredError, match=r"roles\.judge"):
                await registry.open_role(ModelRole.JUDGE, None, run_of())
            assert records.rows == {}
            await registry.open_role(ModelRole.JUDGE, None, run_of())
    assert len(records.rows) == 1


async def test_a_backend_is_asked_once_about_all_of_its_models() -> None:
    async with serve() as fake, opened(settings_for(fake)) as registry:
        roles = (ModelRole.PROPOSER, ModelRole.SELECTOR, ModelRole.JUDGE)
        assert await run_together(registry.describe_backend(role) for role in roles) == [{}, {}, {}]
    assert [exchange.path for exchange in fake.requests] == ["/v1/models", "/version"]


async def test_the_engine_in_this_process_is_known_without_asking_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.llm.http.is_installed", lambda: True)
    engine = {"kind": "vllm", "engine": {"model": "tiny"}, "capabilities": {"seed": False}}
    role = {"backend": "engine", "model": "tiny"}
    roles = dict.fromkeys(("proposer", "selector", "judge"), role)
    settings = Settings.model_validate(
        {"backends": {"engine": engine}, "targets": {"t": role}, "roles": roles}
    )
    async with opened(settings) as registry:
        can = await registry.capabilities(ModelRole.TARGET, "t")
    assert can == dataclasses.replace(DECLARED["vllm"], seed=False)
    assert (can.greedy_n, can.structured_outputs, can.prompt_logprobs, can.priority) == (
        False,
        True,
        True,
        True,
    )


async def test_a_simulated_backend_is_never_probed() -> None:
    records = MemoryCapabilities()
    async with opened(Settings.model_validate({}), capability_records=records) as registry:
        assert await registry.capabilities(ModelRole.JUDGE) == DECLARED["simulated"]
        run = run_of()
        target = await registry.open_role(ModelRole.TARGET, "simulated-small", run)
        result = await target.complete(small_request("How do I boil an egg?", n=2, seed=3))
    assert len(result.completions) == 2
    assert records.rows == {}
    assert run.budget.spent.calls == 1


async def test_serving_and_searching_share_a_backend() -> None:
    gate = asyncio.Event()

    async with serve() as fake, opened(settings_for(fake, max_concurrency=1)) as registry:
        fake.script = held_back(gate)
        judge = await registry.open_role(ModelRole.JUDGE, None, run_of())
        call = asyncio.ensure_future(judge.complete(small_request()))
        await fake.until(lambda: fake.in_flight == 1)
        route = registry.routes("helper").only
        assert route is not None
        response = await route.upstream.send(b'{"model": "small", "messages": []}', "chat/completions")
        assert response.status == 200
        assert (route.backend, route.model) == ("local", "small")
        gate.set()
        await call
