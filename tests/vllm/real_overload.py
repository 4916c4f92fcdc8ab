"""A vLLM whose queue is full, and one that closes idle connections at once."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from app.llm.metering import Meter
from app.llm.registry import ModelRegistry
from app.llm.run_context import RunContext
from app.settings import Settings
from optimizer.budget import Budget, Limits
from optimizer.concurrency import run_together
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, Message, ModelRole, Sampling
from tests.app.jobs.service import failure
from tests.vllm.server import MODEL, VllmServer, running
from tests.vllm.service import service_on

MOST = 8
"""Requests that it takes, those that it works on included."""


@pytest.fixture(scope="module")
def full() -> Iterator[VllmServer]:
    with running("--max-num-queued-reqs", str(MOST), adapter=False) as server:
        yield server


@asynccontextmanager
async def target_of(vllm: VllmServer) -> AsyncIterator[ChatModel]:
    """The model with all that a job has around it, and more requests at once than the server takes."""
    role = {"backend": "vllm", "model": MODEL}
    settings = Settings.model_validate(
        {
            "backends": {"vllm": {"base_url": vllm.url, "max_concurrency": 4 * MOST}},
            "targets": {MODEL: role},
            "roles": {"proposer": role, "selector": role, "judge": role},
        }
    )
    registry = ModelRegistry(settings)
    budget = Budget(Limits(), clock=time.monotonic)
    run = RunContext(scope="job", budget=budget, meter=Meter(), seed=1)
    try:
        yield await registry.open_role(ModelRole.TARGET, MODEL, run)
    finally:
        await registry.aclose()


def asked(number: int, tokens: int = 20) -> CompletionRequest:
    prompt = (Message(role="user", content=f"Name bird number {number}."),)
    return CompletionRequest(prompt=prompt, sampling=Sampling(temperature=0, max_tokens=tokens))


def refused(vllm: VllmServer) -> float:
    """How many requests it has turned away."""
    lines = httpx.get(f"{vllm.root}/metrics", trust_env=False).text.splitlines()
    found = [line for line in lines if line.startswith("vllm:admission_rejections_total")]
    return sum(float(line.rpartition(" ")[2]) for line in found)


async def test_a_job_waits_for_a_queue_that_is_full_and_loses_no_call(full: VllmServer) -> None:
    before = refused(full)
    async with target_of(full) as model:
        results = await run_together(model.complete(asked(number)) for number in range(8 * MOST))
    assert len(results) == 8 * MOST
    assert refused(full) > before


async def test_users_hear_when_its_queue_is_full_and_are_served_again_afterwards(
    full: VllmServer, sqlite_url: str
) -> None:
    turns = [{"role": "user", "content": "Name a bird."}]
    long = {"model": MODEL, "messages": turns, "max_tokens": 200, "ignore_eos": True}
    async with service_on(full, sqlite_url) as service:
        answers = await run_together(service.post("/v1/chat/completions", long) for _ in range(4 * MOST))
        later = await run_together(service.post("/v1/chat/completions", long) for _ in range(MOST // 2))
    turned_away = [answer for answer in answers if answer.status_code != 200]
    assert 0 < len(turned_away) < len(answers)
    assert all("busy" in failure(answer, 429)["message"] for answer in turned_away)
    assert all(int(answer.headers["retry-after"]) > 0 for answer in turned_away)
    assert [answer.status_code for answer in later] == [200] * (MOST // 2)


async def test_connections_that_it_closes_at_once_cost_a_job_no_call() -> None:
    """Each request goes out on a connection that is just being closed, or on a new one."""
    with running(adapter=False, environment={"VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "0"}) as closing:
        async with target_of(closing) as model:
            for number in range(30):
                assert (await model.complete(asked(number, tokens=1))).completions
