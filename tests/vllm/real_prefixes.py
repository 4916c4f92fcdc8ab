"""What the search takes from a real server: log-probabilities of digits, and prefixes that it has cached."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.llm.metering import Meter
from app.llm.registry import ModelRegistry
from app.llm.run_context import RunContext
from app.settings import Settings
from optimizer.budget import Budget, Limits
from optimizer.errors import MalformedReplyError
from optimizer.types import CompletionRequest, Message, ModelRole, Sampling
from rewards.label_judge import MOST_ALTERNATIVES, LabelJudge
from rewards.label_probabilities import expected_labels
from tests.rewards.builders import GREEDY, selection
from tests.vllm.server import MODEL, VllmServer

LONG = " ".join(f"Rule {number}: say what is so and no more." for number in range(60))


@pytest.fixture
async def registry(vllm: VllmServer) -> AsyncIterator[ModelRegistry]:
    role = {"backend": "vllm", "model": MODEL}
    settings = Settings.model_validate(
        {
            "backends": {"vllm": {"base_url": vllm.url}},
            "targets": {"tiny": role},
            "roles": {"proposer": role, "selector": role, "judge": role},
        }
    )
    opened = ModelRegistry(settings)
    yield opened
    await opened.aclose()


def context() -> RunContext:
    return RunContext(scope="job", budget=Budget(Limits(), clock=time.monotonic), meter=Meter(), seed=1)


def asked(system: str, user: str) -> CompletionRequest:
    turns = (Message(role="system", content=system), Message(role="user", content=user))
    return CompletionRequest(prompt=turns, sampling=Sampling(temperature=0, max_tokens=4))


async def test_it_is_proven_to_give_all_alternatives(registry: ModelRegistry) -> None:
    can = await registry.capabilities(ModelRole.JUDGE)
    assert (can.logprobs, can.top_logprobs) == (True, MOST_ALTERNATIVES)


async def test_a_judge_that_babbles_gives_no_score(registry: ModelRegistry) -> None:
    model = await registry.open_role(ModelRole.JUDGE, None, context())
    with pytest.raises(MalformedReplyError):
        await LabelJudge(model, sampling=GREEDY).judge("Q?", "A.", selection(), seed=5)


def test_digits_are_read_from_what_it_sends(vllm: VllmServer) -> None:
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Grade it."}],
        "max_tokens": 8,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": MOST_ALTERNATIVES,
        "structured_outputs": {"regex": r"[1-5]\n[1-5]"},
    }
    answer = httpx.post(f"{vllm.url}/chat/completions", json=body, timeout=60, trust_env=False).json()
    logprobs = answer["choices"][0]["logprobs"]
    first = logprobs["content"][0]
    assert first["top_logprobs"][0]["token"] == first["token"]
    shares = {item["token"]: math.exp(item["logprob"]) for item in first["top_logprobs"]}
    digits = {token: share for token, share in shares.items() if token in "12345"}
    expected = sum(int(token) * share for token, share in digits.items()) / sum(digits.values())
    labels = expected_labels(logprobs, 2)
    assert labels[0] == pytest.approx(expected)
    assert all(label is not None and 1 < label < 5 for label in labels)


async def test_followers_that_are_sent_at_once_have_the_prefix_of_the_first(
    registry: ModelRegistry,
) -> None:
    model = await registry.open_role(ModelRole.TARGET, "tiny", context())
    results = await asyncio.gather(
        *(model.complete(asked(LONG, f"Question {number}?")) for number in range(8))
    )
    shares = [
        (result.usage.cached_prompt_tokens or 0) / result.usage.prompt_tokens
        for result in results
        if result.usage is not None
    ]
    assert len(shares) == 8
    assert sum(share > 0.9 for share in shares) >= 7
