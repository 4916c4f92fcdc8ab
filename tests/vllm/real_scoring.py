"""How likely vLLM finds a given text: the contract of text scorers, by its own field and by an echo.

On a server without adapters: vLLM 0.32 computes such log-probabilities wrongly where it serves some, and ends
as soon as two requests meet.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from typing_extensions import override

from app.llm.errors import Origin
from app.llm.http import BackendClient
from app.llm.limits.limiter import BackendLimiter
from app.llm.probe import Prober
from app.llm.scoring_wire import Way
from app.llm.text_scoring import BackendTextScorer, ScoringCalls, TextScorer
from app.llm.wire import Api
from app.settings import BackendSettings
from tests.contracts.text_scorer import QUERY, SYSTEM, TEXTS, OpenScorer, TextScorerContract, question
from tests.vllm.server import MODEL, VllmServer, running
from tests.vllm.service import BASE, service_on


@pytest.fixture(scope="module")
def vllm() -> Iterator[VllmServer]:
    with running(adapter=False) as server:
        yield server


@pytest.mark.parametrize("api", ["chat", "completions"])
async def test_it_is_proven_to_tell_that(vllm: VllmServer, api: Api) -> None:
    settings = BackendSettings.model_validate({"base_url": vllm.url})
    async with BackendClient(settings, key=None) as client:
        found = await Prober(
            client=client,
            settings=settings,
            origin=Origin(backend="vllm", model=MODEL, setting="targets.tiny"),
            api=api,
            limiter=BackendLimiter(8),
            sleep=asyncio.sleep,
        ).probe()
    assert (found.prompt_logprobs, found.echo) == (True, api == "completions")


@asynccontextmanager
async def opened(vllm: VllmServer, *, plain: bool, way: Way = "prompt_logprobs") -> AsyncIterator[TextScorer]:
    settings = BackendSettings.model_validate({"base_url": vllm.url})
    async with BackendClient(settings, key=None) as client:
        yield BackendTextScorer(
            ScoringCalls(
                client=client,
                settings=settings,
                origin=Origin(backend="vllm", model=MODEL, setting="targets.tiny"),
                api="completions" if plain else "chat",
                way=way,
                folds_system=False,
                clock=time.monotonic,
            )
        )


class TestByPromptLogprobs(TextScorerContract):
    @pytest.fixture
    def open_scorer(self, vllm: VllmServer) -> OpenScorer:
        return lambda plain: opened(vllm, plain=plain)


class TestByAnEcho(TextScorerContract):
    @override
    @pytest.fixture
    def plain(self, request: pytest.FixtureRequest) -> bool:
        return True

    @pytest.fixture
    def open_scorer(self, vllm: VllmServer) -> OpenScorer:
        return lambda plain: opened(vllm, plain=plain, way="echo")


@pytest.mark.parametrize("text", TEXTS)
async def test_both_ways_agree(vllm: VllmServer, text: str) -> None:
    asked = question(SYSTEM, QUERY, plain=True)
    async with opened(vllm, plain=True) as one, opened(vllm, plain=True, way="echo") as other:
        by_field, by_echo = await one.score(asked, text), await other.score(asked, text)
    assert len(by_field.tokens) == len(by_echo.tokens)
    assert by_field.logprob == pytest.approx(by_echo.logprob, abs=1e-3)


async def test_prompt_log_probabilities_pass(vllm: VllmServer, sqlite_url: str) -> None:
    async with service_on(vllm, sqlite_url) as service:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Name a bird."}], "max_tokens": 1}
        answer = (await service.post("/v1/chat/completions", {**body, "prompt_logprobs": 0})).json()
        assert len(answer["prompt_logprobs"]) == answer["usage"]["prompt_tokens"]
        text = {"model": MODEL, "prompt": "A bird: a curlew", "max_tokens": 1, "echo": True, "logprobs": 1}
        echoed = (await service.post("/v1/completions", text)).json()["choices"][0]
        assert echoed["text"].startswith(text["prompt"])
        assert echoed["logprobs"]["token_logprobs"][0] is None


@pytest.mark.parametrize("model", [MODEL, BASE])
async def test_a_reference_answer_is_measured_as_the_versions_are_served(
    vllm: VllmServer, sqlite_url: str, model: str
) -> None:
    async with service_on(vllm, sqlite_url) as service:
        stored = await service.post(
            f"/v1/prompts/{model}/versions", {"system_prompt": "Name birds of the sea."}
        )
        asked = {
            "model": model,
            "query": "Name a bird.",
            "answer": "A gull, or a tern.",
            "versions": [None, "1"],
        }
        answers = [await service.post("/v1/evaluations/likelihood", asked) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], (stored.text, answers[0].text)
    first, again = [[item["logprob"] for item in answer.json()["data"]] for answer in answers]
    assert first == pytest.approx(again, abs=1e-3)
    assert first[0] != pytest.approx(first[1], abs=1e-3)
    assert answers[0].json()["usage"]["completion_tokens"] == 2
