"""What every ``ChatModel`` promises. Subclass, and give the fixture ``open_model``."""

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import pytest

from app.backend_settings import SimulatedFaults, SimulatedSettings
from optimizer.concurrency import run_together
from optimizer.errors import (
    BackendUnavailableError,
    MalformedResponseError,
    ModelError,
    RateLimitedError,
)
from optimizer.protocols import ChatModel
from optimizer.structured import extract_object
from optimizer.types import CompletionRequest, Message, OutputSchema, Sampling

OpenModel: TypeAlias = Callable[[SimulatedSettings, str], AbstractAsyncContextManager[ChatModel]]
"""Opens the model of that name (``simulated-small``, ``simulated-critic``) behind a backend that behaves as
the settings say; a share of 1 means that every request meets that fault."""

QUESTION = CompletionRequest(
    prompt=(
        Message(role="system", content="Answer in a few warm and clear sentences."),
        Message(role="user", content="How do I keep a basil plant alive through the winter?"),
    ),
    sampling=Sampling(temperature=1, max_tokens=200),
    seed=7,
)

JUDGEMENT = CompletionRequest(  # short enough, whoever writes it: random weights end nothing by themselves
    prompt=(
        Message(role="system", content="# Task: score an answer\n\nReply with JSON."),
        Message(
            role="user",
            content=(
                "## Criteria\n\n- Clarity: is it easy?\n\n## Why these criteria\n\n| They matter.\n\n"
                "## Query\n\n| How do I boil an egg?\n\n## Answer\n\n| Seven minutes in boiling water."
            ),
        ),
    ),
    sampling=Sampling(temperature=0, max_tokens=500),
    seed=7,
    output=OutputSchema(
        name="criterion_scores",
        schema={
            "type": "object",
            "properties": {
                "scores": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 3,
                    "items": {
                        "type": "object",
                        "properties": {
                            "criterion": {"type": "string", "maxLength": 40},
                            "rationale": {"type": "string", "maxLength": 40},
                            "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
                        },
                        "required": ["criterion", "rationale", "score"],
                        "additionalProperties": False,
                    },
                }
            },
            "required": ["scores"],
            "additionalProperties": False,
        },
    ),
)

FAULTS: list[tuple[SimulatedFaults, type[ModelError]]] = [
    (SimulatedFaults(rate_limited=1), RateLimitedError),
    (SimulatedFaults(server_error=1), BackendUnavailableError),
    (SimulatedFaults(connection_lost=1), BackendUnavailableError),
    (SimulatedFaults(malformed_response=1), MalformedResponseError),
]


class ChatModelContract:
    """The suite."""

    @pytest.mark.parametrize("n", [1, 3])
    async def test_as_many_completions_come_as_were_asked_for(self, open_model: OpenModel, n: int) -> None:
        async with open_model(SimulatedSettings(), "simulated-small") as model:
            result = await model.complete(dataclasses.replace(QUESTION, n=n))
        assert len(result.completions) == n
        assert all(completion.text for completion in result.completions)

    async def test_the_same_seed_gives_the_same_answers(self, open_model: OpenModel) -> None:
        async with open_model(SimulatedSettings(), "simulated-small") as model:
            first = await model.complete(dataclasses.replace(QUESTION, n=2))
            second = await model.complete(dataclasses.replace(QUESTION, n=2))
        assert first.completions == second.completions

    async def test_other_seeds_give_other_answers(self, open_model: OpenModel) -> None:
        async with open_model(SimulatedSettings(), "simulated-small") as model:
            texts = {
                (await model.complete(dataclasses.replace(QUESTION, seed=seed))).completions[0].text
                for seed in range(6)
            }
        assert len(texts) > 1

    async def test_an_answer_says_what_it_used_and_who_gave_it(self, open_model: OpenModel) -> None:
        async with open_model(SimulatedSettings(), "simulated-small") as model:
            result = await model.complete(QUESTION)
        assert result.usage is not None
        assert result.usage.prompt_tokens > 0
        assert result.usage.completion_tokens > 0
        assert result.model == "simulated-small"
        assert result.seconds >= 0
        assert model.name.endswith("/simulated-small")

    async def test_an_answer_ends_before_a_stop_text(self, open_model: OpenModel) -> None:
        async with open_model(SimulatedSettings(), "simulated-small") as model:
            whole = (await model.complete(QUESTION)).completions[0].text
            stop = whole.split()[len(whole.split()) // 2]
            sampling = dataclasses.replace(QUESTION.sampling, stop=(stop,))
            cut = (await model.complete(dataclasses.replace(QUESTION, sampling=sampling))).completions[0]
        assert cut.text.strip() == whole.split(stop)[0].strip()
        assert cut.finish_reason == "stop"

    async def test_a_structured_reply_is_the_object_wanted(self, open_model: OpenModel) -> None:
        async with open_model(SimulatedSettings(), "simulated-critic") as model:
            result = await model.complete(JUDGEMENT)
        scores = extract_object(result.completions[0].text)["scores"]
        assert isinstance(scores, list)
        assert all(isinstance(score, dict) and score.keys() >= {"criterion", "score"} for score in scores)
        assert scores

    @pytest.mark.parametrize(("faults", "kind"), FAULTS, ids=lambda value: str(value)[:60])
    async def test_a_fault_is_an_error_of_its_kind(
        self, open_model: OpenModel, faults: SimulatedFaults, kind: type[ModelError]
    ) -> None:
        async with open_model(SimulatedSettings(faults=faults), "simulated-small") as model:
            with pytest.raises(kind) as caught:
                await model.complete(QUESTION)
        assert caught.value.backend == model.name.split("/")[0]

    async def test_a_cancelled_call_leaves_no_task(self, open_model: OpenModel) -> None:
        async with open_model(SimulatedSettings(latency_ms=3_600_000), "simulated-small") as model:
            before = asyncio.all_tasks()
            call = asyncio.ensure_future(model.complete(QUESTION))
            done, _ = await asyncio.wait({call}, timeout=0.05)
            assert not done
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            for _ in range(500):
                if asyncio.all_tasks() <= before:
                    break
                await asyncio.sleep(0.01)
            assert asyncio.all_tasks() <= before

    async def test_calls_at_once_don_t_mix(self, open_model: OpenModel) -> None:
        async with open_model(SimulatedSettings(), "simulated-small") as model:
            alone = [
                (await model.complete(dataclasses.replace(QUESTION, seed=seed))).completions
                for seed in range(8)
            ]
            together = await run_together(
                model.complete(dataclasses.replace(QUESTION, seed=seed)) for seed in range(8)
            )
        assert [result.completions for result in together] == alone
