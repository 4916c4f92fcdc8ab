"""What is repeatable on vLLM and what is not, in float32 on the CPU. ARCHITECTURE.md says what follows."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from optimizer.concurrency import run_together
from tests.vllm.server import MODEL, VllmServer

NEIGHBOURS = 16
CLOSE = 1e-4
"""Of log-probabilities: what batches change in float32 is smaller by two digits."""


class Asking:
    """Plain requests, in which nothing of drpo has a part."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def choices(self, **fields: object) -> list[dict[str, Any]]:
        body = {"model": MODEL, "prompt": "Once upon a time", "max_tokens": 40, "temperature": 1, **fields}
        answer = await self._client.post("/completions", json=body)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["choices"]
        return sorted(found, key=lambda choice: choice["index"])

    async def text(self, **fields: object) -> str:
        return str((await self.choices(**fields))[0]["text"])


@pytest.fixture
async def asking(vllm: VllmServer) -> AsyncIterator[Asking]:
    async with httpx.AsyncClient(base_url=vllm.url, trust_env=False, timeout=100) as client:
        yield Asking(client)


async def test_a_seed_repeats_an_answer_alone_and_among_others(asking: Asking) -> None:
    alone = await asking.text(seed=5)
    assert await asking.text(seed=5) == alone
    beside = [asking.text(seed=seed, prompt=f"The story of {seed}") for seed in range(100, 100 + NEIGHBOURS)]
    among, *_ = await run_together([asking.text(seed=5), *beside])
    assert among == alone
    assert set(await run_together(asking.text(seed=5) for _ in range(NEIGHBOURS))) == {alone}


async def test_other_seeds_and_no_seed_give_other_answers(asking: Asking) -> None:
    assert len({await asking.text(seed=seed) for seed in range(6)}) > 1
    assert len({await asking.text() for _ in range(6)}) > 1


async def test_the_first_of_several_is_the_one_that_comes_alone(asking: Asking) -> None:
    several = [choice["text"] for choice in await asking.choices(seed=5, n=4)]
    assert several[0] == await asking.text(seed=5)
    assert len(set(several)) > 1
    assert [choice["text"] for choice in await asking.choices(seed=5, n=4)] == several


async def test_temperature_0_repeats_an_answer_in_every_batch(asking: Asking) -> None:
    alone = await asking.text(temperature=0)
    beside = [asking.text(prompt=f"The story of {number}") for number in range(NEIGHBOURS)]
    among, *_ = await run_together([asking.text(temperature=0), *beside])
    assert among == alone


async def test_log_probabilities_agree_closely_whatever_else_is_asked(asking: Asking) -> None:
    async def logprobs() -> list[float]:
        choice = (await asking.choices(temperature=0, logprobs=1))[0]
        return [float(value) for value in choice["logprobs"]["token_logprobs"]]

    alone = await logprobs()
    beside = [asking.text(prompt=f"The story of {number}") for number in range(NEIGHBOURS)]
    among, *_ = await run_together([logprobs(), *beside])
    assert isinstance(among, list)
    assert among == pytest.approx(alone, abs=CLOSE)
