"""A user's own scorer over real HTTP: asked once for the same thing, within the budget, and never trusted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from app.llm.http_scorer import ScorerPlace
from app.llm.metering import Meter
from app.llm.run_context import RunContext
from app.llm.scorers import open_scorer
from app.reward_settings import RewardSettings
from optimizer.budget import Budget, Limits
from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    MalformedResponseError,
    MisconfiguredError,
    RateLimitedError,
)
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, Message, ModelRole, Query, Spend, Unscored
from rewards.external import ExternalScorer
from tests.fakes.openai_server import Answer, Drop, FakeOpenAIServer, Reply, Stream, serve
from tests.fakes.search import ManualClock

QUERY = Query(id="q1", text="How long?")
GOOD = Answer(body={"score": 4, "rationale": "fine"})


async def at_once(_: float) -> None:
    """Wait for nothing."""


def run_context(**limits: int) -> RunContext:
    return RunContext(scope="s", budget=Budget(Limits(**limits), clock=ManualClock()), meter=Meter(), seed=1)


@asynccontextmanager
async def opened(
    fake: FakeOpenAIServer, run: RunContext | None = None, *, seconds: float = 30.0, path: str = "/score"
) -> AsyncIterator[ChatModel]:
    place = ScorerPlace(
        url=fake.url.removesuffix("/v1") + path,
        headers={"Authorization": SecretStr("Bearer s3cret"), "Content-Type": SecretStr("text/evil")},
        timeout_seconds=seconds,
        max_response_bytes=2000,
    )
    async with open_scorer(place, run or run_context(), RewardSettings(), sleep=at_once) as model:
        yield model


async def scored(fake: FakeOpenAIServer, *replies: Reply, run: RunContext | None = None) -> object:
    """What a scorer that replies so makes of an answer: a score, or the reason why there is none."""
    fake.push(*replies)
    async with opened(fake, run) as model:
        found = await ExternalScorer(model=model, name="Tone").score(QUERY, "An answer.", {})
    return found.reason if isinstance(found, Unscored) else found.score


async def test_the_scorer_gets_the_json_and_the_headers_and_its_score_counts() -> None:
    run = run_context(calls=10, tokens=1)
    async with serve() as fake:
        assert await scored(fake, GOOD, run=run) == 4
        (exchange,) = fake.requests
    assert exchange.path == "/score"
    assert exchange.body == {"query": "How long?", "kind": None, "answer": "An answer.", "criteria": []}
    assert exchange.headers["authorization"] == "Bearer s3cret"
    assert exchange.headers["content-type"] == "application/json"
    assert run.budget.spent == Spend(calls=1)
    assert run.meter.uses[ModelRole.SCORER].spend == Spend(calls=1)


@pytest.mark.parametrize(
    "trouble",
    [Answer(status=503), Answer(status=429), Answer(status=500, headers={"retry-after": "9"}), Drop()],
)
async def test_what_may_pass_is_tried_again_and_each_try_is_a_call_of_the_budget(trouble: Reply) -> None:
    run = run_context(calls=10)
    async with serve() as fake:
        assert await scored(fake, trouble, trouble, GOOD, run=run) == 4
    assert run.budget.spent == Spend(calls=3)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Answer(status=503), BackendUnavailableError),
        (Answer(status=408), BackendUnavailableError),
        (Answer(status=429), RateLimitedError),
        (Drop(), BackendUnavailableError),
    ],
)
async def test_a_scorer_that_stays_away_ends_the_run_after_a_few_tries(
    reply: Reply, error: type[Exception]
) -> None:
    async with serve() as fake:
        with pytest.raises(error):
            await scored(fake, *[reply] * 4)
        assert len(fake.requests) == 4


async def test_a_dead_scorer_costs_nothing_and_the_message_names_the_field() -> None:
    run = run_context(calls=10)
    async with serve() as fake:
        pass
    with pytest.raises(BackendUnavailableError, match=r"is rewards\.http\.url right\?"):
        await scored(fake, run=run)
    assert run.budget.spent == Spend()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Answer(status=422, body={"detail": "too rude"}), 'Tone: it answered 422: {"detail": "too rude"}'),
        (Answer(status=400, body=b"\xff" * 900), "Tone: it answered 400: " + "\ufffd" * 300),
        (Answer(body=b"<html>"), "Tone: the reply is no JSON"),
        (Answer(body=b""), "Tone: the reply is no JSON"),
        (Answer(body=b"x" * 2001), "Tone: it replied with more than 2000 bytes:"),
        (
            Stream(chunks=[b"x" * 1500] * 3, content_type="application/json"),
            "Tone: it replied with more than 2000 bytes:",
        ),
    ],
)
async def test_a_refusal_or_nonsense_is_no_score_and_is_not_asked_for_again(
    reply: Reply, reason: str
) -> None:
    async with serve() as fake:
        assert await scored(fake, reply) == reason
        assert len(fake.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405])
async def test_a_redirect_or_no_such_service_ends_the_run_and_leads_nowhere(status: int) -> None:
    async with serve() as fake:
        with pytest.raises(MisconfiguredError, match=f"answered {status}: check rewards.http.url"):
            await scored(fake, Answer(status=status, headers={"location": "/elsewhere"}))
        assert [exchange.path for exchange in fake.requests] == ["/score"]


async def test_a_scorer_that_takes_too_long_is_given_up() -> None:
    held = Answer(gate=asyncio.Event())
    async with serve() as fake:
        fake.push(*[held] * 4)
        async with opened(fake, seconds=0.05) as model:
            with pytest.raises(BackendUnavailableError, match=r"rewards\.http\.timeout_seconds"):
                await model.complete(CompletionRequest(prompt="{}"))
        await fake.until(lambda: fake.left == 4)


async def test_no_call_is_made_that_the_budget_does_not_allow() -> None:
    async with serve() as fake:
        with pytest.raises(BudgetExceededError):
            await scored(fake, Answer(status=503), run=run_context(calls=1))
        assert len(fake.requests) == 1


async def test_what_is_not_http_is_no_score_of_anybody() -> None:
    async def garble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"NOT HTTP\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    place = ScorerPlace(
        url=f"http://127.0.0.1:{port}/", headers={}, timeout_seconds=5, max_response_bytes=100
    )
    async with server, open_scorer(place, run_context(), RewardSettings(), sleep=at_once) as model:
        with pytest.raises(MalformedResponseError):
            await model.complete(CompletionRequest(prompt="{}"))


async def test_it_is_named_by_its_address_and_sent_nothing_but_text() -> None:
    async with serve() as fake, opened(fake, path="/a?b=c") as model:
        assert model.name == f"scorer/{fake.url.removesuffix('/v1')}/a?b=c"
        with pytest.raises(TypeError, match="a text"):
            await model.complete(CompletionRequest(prompt=(Message(role="user", content="x"),)))
