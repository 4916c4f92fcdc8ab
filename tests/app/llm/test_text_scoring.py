"""How likely a given text is: the contract, and what cannot be read."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from typing_extensions import override

from app.backend_settings import SimulatedSettings
from app.llm.http import BackendClient
from app.llm.scoring_wire import UnreadableScoreError, Way, read_scored, scoring_body
from app.llm.text_scoring import BackendTextScorer, ScoringCalls, TextScorer
from app.settings import BackendSettings
from optimizer.errors import MalformedResponseError, RequestRefusedError
from optimizer.types import CompletionRequest, JsonObject, Message, Sampling
from tests.app.llm.engine.opening import MODEL, client_of
from tests.app.llm.engine.opening import SETTINGS as ENGINE
from tests.app.llm.opening import KEY, backend_settings, origin
from tests.contracts.text_scorer import OpenScorer, TextScorerContract
from tests.fakes.engine import FakeEngine
from tests.fakes.openai_server import Answer, Script, error, serve, well_behaved
from tests.fakes.scoring_server import echoes_texts, scores_texts

TURNS = (Message(role="system", content="Be brief."), Message(role="user", content="Name a bird."))


def calls_of(
    client: BackendClient, settings: BackendSettings, model: str, *, plain: bool, way: Way = "prompt_logprobs"
) -> ScoringCalls:
    return ScoringCalls(
        client=client,
        settings=settings,
        origin=origin(model, key=None),
        api="completions" if plain else "chat",
        way=way,
        folds_system=False,
        clock=time.monotonic,
    )


@asynccontextmanager
async def open_over_http(
    script: Script, *, plain: bool, way: Way = "prompt_logprobs"
) -> AsyncIterator[TextScorer]:
    async with serve() as fake:
        fake.script = script
        settings = backend_settings(fake)
        async with BackendClient(settings, key=KEY) as client:
            yield BackendTextScorer(calls_of(client, settings, "m", plain=plain, way=way))


class TestAServer(TextScorerContract):
    @pytest.fixture
    def open_scorer(self) -> OpenScorer:
        return lambda plain: open_over_http(scores_texts, plain=plain)


class TestAServerThatEchoes(TextScorerContract):
    @override
    @pytest.fixture
    def plain(self, request: pytest.FixtureRequest) -> bool:
        return True

    @pytest.fixture
    def open_scorer(self) -> OpenScorer:
        return lambda plain: open_over_http(echoes_texts, plain=plain, way="echo")


class TestTheSimulatedBackend(TextScorerContract):
    @pytest.fixture
    def open_scorer(self) -> OpenScorer:
        @asynccontextmanager
        async def opened(plain: bool) -> AsyncIterator[TextScorer]:
            settings = BackendSettings(kind="simulated", simulated=SimulatedSettings())
            model = "simulated-base" if plain else "simulated-small"
            async with BackendClient(settings, key=None) as client:
                yield BackendTextScorer(calls_of(client, settings, model, plain=plain))

        return opened


class TestTheEngine(TextScorerContract):
    @pytest.fixture
    def open_scorer(self, monkeypatch: pytest.MonkeyPatch) -> OpenScorer:
        @asynccontextmanager
        async def opened(plain: bool) -> AsyncIterator[TextScorer]:
            async with client_of(FakeEngine(context=5000), monkeypatch) as client:
                yield BackendTextScorer(calls_of(client, ENGINE, MODEL, plain=plain))

        return opened


async def test_a_model_without_a_system_role_is_asked_without_one() -> None:
    async with serve() as fake:
        fake.script = scores_texts
        settings = backend_settings(fake)
        async with BackendClient(settings, key=KEY) as client:
            calls = ScoringCalls(
                client=client,
                settings=settings,
                origin=origin(),
                api="chat",
                way="prompt_logprobs",
                folds_system=True,
                clock=time.monotonic,
            )
            await BackendTextScorer(calls).score(TURNS, "A curlew.")
            request = CompletionRequest(
                prompt=(*TURNS, Message(role="assistant", content="A curlew.")), sampling=Sampling()
            )
            result = await calls.complete(request)
    turns: Any = fake.requests[0].body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"]
    assert turns[0]["content"] == "Be brief.\n\nName a bird."
    assert result.usage is not None
    assert result.usage.prompt_tokens == 7


@pytest.mark.parametrize(
    "script", [well_behaved, lambda _: Answer(body=[]), lambda _: Answer(body={"prompt_logprobs": [None]})]
)
async def test_what_ignores_the_question_gives_no_score(script: Script) -> None:
    async with open_over_http(script, plain=False) as scorer:
        with pytest.raises(MalformedResponseError, match="cannot be read"):
            await scorer.score(TURNS, "A curlew.")


async def test_a_refusal_is_one() -> None:
    async with open_over_http(lambda _: error(400, "too long"), plain=False) as scorer:
        with pytest.raises(RequestRefusedError, match="too long"):
            await scorer.score(TURNS, "A curlew.")


def answer_of(*tokens: str | None, logprob: float | None = -1.0) -> Any:
    places = [
        None if token is None else {"5": {"logprob": logprob, "decoded_token": token}} for token in tokens
    ]
    return {"prompt_logprobs": places}


@pytest.mark.parametrize(
    ("tokens", "text", "count"),
    [
        ((None, "Name", " a", " bird", "\n", "A", " cur", "lew"), "A curlew", 3),
        ((None, "bird", "A", "cur", "lew"), "A curlew", 3),  # tokens without their blanks
        ((None, "bird", "\nA", " cur", "lew", "\n"), "A curlew", 4),  # a blank on either side
        ((None, "bird", "F", "", "", "e"), "Füße", 4),  # characters of several tokens are in none of them
        ((None, "bird", "F", "ü", "\ufffd", "ße"), "Füße", 4),
        ((None, "bird", "", "", ""), "鷸", 3),
    ],
)
def test_the_tokens_of_a_text_are_found_at_the_end(
    tokens: tuple[str | None, ...], text: str, count: int
) -> None:
    found = read_scored(answer_of(*tokens), text, way="prompt_logprobs")
    assert [token.text for token in found] == [*tokens][-count:]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (answer_of(None, "bird", "A", " gull"), "A curlew"),
        (answer_of(None, "birdA", " curlew"), "A curlew"),  # a token of both
        (answer_of(None, " lew"), "A curlew"),
        (answer_of("A", " curlew", logprob=None), "A curlew"),
        (answer_of(None, "A"), "  "),
        ({"prompt_logprobs": []}, "A curlew"),
        ({"choices": []}, "A curlew"),
    ],
)
def test_other_tokens_are_none_of_the_text(answer: Any, text: str) -> None:
    with pytest.raises(UnreadableScoreError):
        read_scored(answer, text, way="prompt_logprobs")


@pytest.mark.parametrize(
    "logprobs", [None, {"tokens": ["A"]}, {"tokens": ["A", "b"], "token_logprobs": [None]}]
)
def test_an_echo_without_log_probabilities_is_none(logprobs: Any) -> None:
    with pytest.raises(UnreadableScoreError):
        read_scored({"choices": [{"logprobs": logprobs}]}, "A curlew", way="echo")


def test_an_echo_is_read_without_what_was_written_after_it() -> None:
    logprobs: JsonObject = {"tokens": ["A", " cur", "lew", "."], "token_logprobs": [-1, -2, -3, -9]}
    found = read_scored({"choices": [{"logprobs": logprobs}]}, "curlew", way="echo")
    assert [token.logprob for token in found] == [-2, -3]


def test_a_text_of_a_base_model_stands_right_after_what_was_asked() -> None:
    assert scoring_body("# Answer:\n", "A curlew", way="echo") == {
        "prompt": "# Answer:\nA curlew", "max_tokens": 1, "echo": True, "logprobs": 1,
    }  # fmt: skip
