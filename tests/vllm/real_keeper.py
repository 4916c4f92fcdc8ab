"""What ``drpo serve --vllm`` starts on a machine without a GPU, with the flags that it has there."""

import os
from collections.abc import AsyncIterator

import httpx
import pytest

from app.vllm.supervised import SupervisedVllm
from app.vllm_settings import VllmSettings
from optimizer.concurrency import run_together
from tests.e2e.processes import free_port
from tests.vllm.server import installed, tiny_model

SENTENCES = 300
"""1,800 tokens, several of which are more than vLLM reads in one step by itself."""
TOGETHER = 12


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Where the server answers."""
    settings = VllmSettings(
        model=str(tiny_model() / "model"),
        name="tiny",
        command=str(installed() / "bin" / "vllm"),
        port=free_port(),
        arguments=("--kv-cache-memory-bytes", "128M"),
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    async with SupervisedVllm(settings, environment, tell=print) as server:
        assert server.state == "ok"
        yield f"http://127.0.0.1:{settings.port}/v1"


async def test_long_prompts_with_seeds_that_come_together_are_answered_as_they_are_alone(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=300) as client:

        async def ask(number: int) -> str:
            story = f"Story {number}. " + "Say what is so. " * SENTENCES
            body = {
                "model": "tiny",
                "messages": [{"role": "user", "content": story}],
                "seed": number,
                "temperature": 1,
                "max_tokens": 20,
                "min_tokens": 20,
            }
            answer = await client.post(f"{url}/chat/completions", json=body)
            answer.raise_for_status()
            return str(answer.json()["choices"][0]["message"]["content"])

        together = await run_together(ask(number) for number in range(TOGETHER))
        assert len(set(together)) == TOGETHER
        for number in (0, TOGETHER - 1):
            assert await ask(number) == together[number]
