"""What drpo finds out about vLLM by asking it, and what it makes of that."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from app.llm.capabilities import Capabilities
from app.llm.emulated_n import with_several
from app.llm.errors import Origin
from app.llm.http import BackendClient
from app.llm.limits.limiter import BackendLimiter
from app.llm.openai_compatible import SEARCH_PRIORITY, OpenAICompatibleModel
from app.llm.probe import Prober
from app.llm.wire import Api
from app.settings import BackendSettings
from optimizer.concurrency import run_together
from optimizer.types import CompletionRequest, JsonObject, Message, OutputSchema, Sampling
from tests.vllm.server import ADAPTER, AT_ONCE, MODEL, VllmServer

ON_VLLM = Capabilities(greedy_n=False, structured_outputs=True, tokenize=True, priority=True)
QUESTION = CompletionRequest(
    prompt=(Message(role="system", content="Be brief."), Message(role="user", content="Name three birds.")),
    sampling=Sampling(temperature=1, max_tokens=20),
    seed=7,
)


def origin(model: str = MODEL) -> Origin:
    return Origin(backend="vllm", model=model, setting=f"targets.{model}")


@pytest.fixture
def settings(vllm: VllmServer) -> BackendSettings:
    return BackendSettings.model_validate({"base_url": vllm.url})


@pytest.fixture
async def client(settings: BackendSettings) -> AsyncIterator[BackendClient]:
    async with BackendClient(settings, key=None) as opened:
        yield opened


def adapter(
    client: BackendClient, settings: BackendSettings, can: Capabilities = ON_VLLM, api: Api = "chat"
) -> OpenAICompatibleModel:
    return OpenAICompatibleModel(
        client, settings, origin=origin(), api=api, capabilities=can, clock=time.monotonic
    )


@pytest.mark.parametrize("model", [MODEL, ADAPTER])
@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_what_it_can_do_is_read_from_its_answers(
    client: BackendClient, settings: BackendSettings, api: Api, model: str
) -> None:
    prober = Prober(
        client=client,
        settings=settings,
        origin=origin(model),
        api=api,
        limiter=BackendLimiter(8),
        sleep=asyncio.sleep,
    )
    found = (await prober.probe()).to_json()
    del found["json_mode"]  # babble may go on without an end, as JSON, too
    # how likely a text is it is not asked, since it serves an adapter; see real_scoring.py
    expected = ON_VLLM.to_json() | ({"json_schema": False} if api == "completions" else {})
    assert found == {name: value for name, value in expected.items() if name != "json_mode"}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
async def test_several_answers_come_at_every_temperature(
    client: BackendClient, settings: BackendSettings, temperature: float
) -> None:
    model = with_several(adapter(client, settings), ON_VLLM)
    sampling = Sampling(temperature=temperature, max_tokens=20)
    request = CompletionRequest(prompt=QUESTION.prompt, sampling=sampling, n=3, seed=1)
    texts = [completion.text for completion in (await model.complete(request)).completions]
    assert len(texts) == 3
    assert len(set(texts)) == (1 if temperature == 0 else 3)


@pytest.mark.parametrize(
    ("api", "can"),
    [
        ("chat", ON_VLLM),
        ("chat", dataclasses.replace(ON_VLLM, json_schema=False)),
        ("completions", dataclasses.replace(ON_VLLM, json_schema=False)),
    ],
    ids=["response_format", "structured_outputs", "a base model"],
)
async def test_a_schema_is_followed_even_by_babble(
    client: BackendClient, settings: BackendSettings, api: Api, can: Capabilities
) -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {"score": {"type": "integer", "enum": [1, 2, 3, 4, 5]}},
        "required": ["score"],
        "additionalProperties": False,
    }
    output = OutputSchema(name="judgement", schema=schema)
    prompt = "Name three birds." if api == "completions" else QUESTION.prompt
    request = CompletionRequest(prompt=prompt, sampling=QUESTION.sampling, output=output)
    result = await adapter(client, settings, can, api).complete(request)
    assert result.completions[0].text in {f'{{"score":{score}}}' for score in range(1, 6)} | {
        f'{{"score": {score}}}' for score in range(1, 6)
    }


async def test_a_user_goes_before_the_jobs_that_wait(vllm: VllmServer) -> None:
    """Three rounds of jobs are there before the user, who asks when the first one ends."""
    first, ended = asyncio.Event(), 0
    long = {"max_tokens": 60, "ignore_eos": True, "priority": SEARCH_PRIORITY}

    async with httpx.AsyncClient(base_url=vllm.root, trust_env=False, timeout=100) as client:

        async def ask(**fields: object) -> None:
            body = {"model": MODEL, "prompt": "Name a bird.", **fields}
            (await client.post("/v1/completions", json=body)).raise_for_status()

        async def search() -> None:
            nonlocal ended
            await ask(**long)
            ended += 1
            first.set()

        async def serve() -> int:
            await first.wait()
            await ask(max_tokens=1)
            return ended

        before, *_ = await run_together([serve(), *(search() for _ in range(3 * AT_ONCE))])
    assert before is not None
    assert before < 3 * AT_ONCE  # the round that was begun meanwhile may end first
