"""A budget of tokens on vLLM, which counts a prompt before it is sent."""

import time
from collections.abc import AsyncIterator

import pytest

from app.llm.budgeted import upper_bound
from app.llm.metering import Meter
from app.llm.registry import ModelRegistry
from app.llm.run_context import RunContext
from app.settings import Settings
from optimizer.budget import Budget, Limits
from optimizer.errors import BudgetExceededError
from optimizer.types import CompletionRequest, CompletionResult, Message, ModelRole, Sampling
from tests.vllm.server import MODEL, VllmServer
from tests.vllm.service import BASE

ANSWER = 8
LONG = "Name a bird of the sea, and say why. " * 20
PROMPTS: dict[str, tuple[Message, ...] | str] = {
    MODEL: (Message(role="system", content="Be brief."), Message(role="user", content=LONG)),
    BASE: LONG,
}


@pytest.fixture
async def registry(vllm: VllmServer) -> AsyncIterator[ModelRegistry]:
    role = {"backend": "vllm", "model": MODEL}
    settings = Settings.model_validate(
        {
            "backends": {"vllm": {"base_url": vllm.url}},
            "targets": {MODEL: role, BASE: {**role, "api": "completions"}},
            "roles": {"proposer": role, "selector": role, "judge": role},
        }
    )
    opened = ModelRegistry(settings)
    yield opened
    await opened.aclose()


async def answered(registry: ModelRegistry, target: str, tokens: int) -> CompletionResult:
    budget = Budget(Limits(tokens=tokens), clock=time.monotonic)
    context = RunContext(scope="job", budget=budget, meter=Meter(), seed=1)
    model = await registry.open_role(ModelRole.TARGET, target, context)
    sampling = Sampling(temperature=0, max_tokens=ANSWER)
    result = await model.complete(CompletionRequest(prompt=PROMPTS[target], sampling=sampling))
    assert budget.spent.tokens <= tokens
    return result


@pytest.mark.parametrize("target", [MODEL, BASE])
async def test_it_is_used_to_its_last_token(registry: ModelRegistry, target: str) -> None:
    first = await answered(registry, target, 10_000)
    assert first.usage is not None
    exact = first.usage.prompt_tokens + ANSWER
    assert upper_bound(CompletionRequest(prompt=PROMPTS[target])).prompt_tokens > 2 * exact
    assert (await answered(registry, target, exact)).completions == first.completions
    with pytest.raises(BudgetExceededError):
        await answered(registry, target, exact - 1)
