"""Rates and quotas of keys as clients meet them: with streams, failures and clients that leave."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, RateLimitError

from app.access.key_limits import KeyLimits, Period, Quota
from app.labelled_prompts import ServedPrompt
from app.retrieval import Nearest
from app.server import embedded_service
from optimizer.types import Example, JsonObject
from store.connections import Database
from store.records.keys import KeyRecord
from store.records.usage import Amounts, QuotaWindow
from store.repositories.keys import KeyRepository
from store.repositories.prompts import PromptRepository
from store.repositories.quotas import QuotaRepository
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import EXAMPLES, MODEL, add_version, question, settings_for
from tests.fakes.openai_server import Answer, Drop, FakeOpenAIServer, Stream, error, serve, sse

PATH = "/v1/chat/completions"
LONG = Example(id="e1", query="Why?", answer="x" * 3000)
PRICE: JsonObject = {"price": {"input_per_million": 1000.0, "output_per_million": 10_000.0}}
COST = 7 * 1000 + 5 * 10_000  # millionths, of what the fake backend reports


@dataclass(frozen=True, kw_only=True)
class Setup:
    client: httpx.AsyncClient
    fake: FakeOpenAIServer
    keys: KeyRepository
    quotas: QuotaRepository
    prompts: PromptRepository

    async def align(self) -> None:
        """Have the model answer with a prompt and an example."""
        await add_version(self.prompts, examples=EXAMPLES)

    async def key(self, limits: KeyLimits) -> tuple[dict[str, str], KeyRecord]:
        key, record = await add_key(self.keys, limits=limits)
        return bearer(key), record

    async def ask(self, key: dict[str, str], *, stream: bool = False) -> httpx.Response:
        return await self.client.post(PATH, json=question(max_tokens=50, stream=stream), headers=key)

    async def used(self, record: KeyRecord, wanted: Amounts) -> None:
        """Wait until ``wanted`` is on record as used in all: what was drawn ahead is given back by then."""
        window = QuotaWindow(key_number=record.number, period="total", starts_at=0)
        async with asyncio.timeout(20):
            while await self.quotas.used(window) != wanted:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.01)


@pytest.fixture
async def setup(database_url: str) -> AsyncIterator[Setup]:
    async with serve() as fake:
        settings = settings_for(
            database_url, fake, backend=PRICE, api_keys={"settle_seconds": 0.01, "refresh_seconds": 0.2}
        )
        async with embedded_service(settings) as url:
            db = Database(database_url)
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
                yield Setup(
                    client=client,
                    fake=fake,
                    keys=KeyRepository(db),
                    quotas=QuotaRepository(db),
                    prompts=PromptRepository(db),
                )
            await db.close()


def total(**amounts: float) -> KeyLimits:
    return KeyLimits(quotas=(Quota(period=Period.TOTAL, **amounts),))  # type: ignore[arg-type]


async def test_answers_tell_the_rates_in_openais_headers(setup: Setup) -> None:
    key, _ = await setup.key(KeyLimits(requests_per_minute=5, tokens_per_minute=10_000))
    answers = [await setup.ask(key, stream=stream) for stream in (False, True)]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["x-ratelimit-limit-requests"] == "5"
        assert answer.headers["x-ratelimit-limit-tokens"] == "10000"
        assert answer.headers["x-ratelimit-reset-requests"].endswith("s")
    assert answers[1].headers["x-ratelimit-remaining-requests"] == "3"
    # 12 tokens of the first are gone, and what the second has taken
    assert 9_800 < int(answers[1].headers["x-ratelimit-remaining-tokens"]) < 9_990


async def test_too_many_requests_are_told_when_to_come_back(setup: Setup) -> None:
    key, _ = await setup.key(KeyLimits(requests_per_minute=2))
    answers = [await setup.ask(key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    refused = answers[-1]
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert 25 <= int(refused.headers["retry-after"]) <= 31
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert "x-should-retry" not in refused.headers
    assert len(setup.fake.requests) == 2


async def test_a_used_up_quota_is_final_for_openais_client(setup: Setup) -> None:
    key, record = await setup.key(total(requests=1))
    sdk = AsyncOpenAI(
        base_url=str(setup.client.base_url.join("/v1")),
        api_key=key["authorization"].removeprefix("Bearer "),
        http_client=DefaultAsyncHttpxClient(trust_env=False),
    )
    async with sdk:
        await sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
        with pytest.raises(RateLimitError) as caught:
            await sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    assert caught.value.code == "insufficient_quota"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "quota of 1 requests in all" in caught.value.message
    assert len(setup.fake.requests) == 1
    await setup.used(record, Amounts(requests=1, tokens=12, micros=COST))


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_reserved_becomes_what_was_used(setup: Setup, stream: bool) -> None:
    key, record = await setup.key(total(requests=9, tokens=5000, cost=100.0))
    assert (await setup.ask(key, stream=stream)).status_code == 200
    await setup.used(record, Amounts(requests=1, tokens=12, micros=COST))


async def test_money_is_reserved_for_the_longest_answer(setup: Setup) -> None:
    key, record = await setup.key(total(cost=0.5))
    refused = await setup.ask(key)  # 50 tokens may cost 0.5, and the prompt something
    assert refused.status_code == 429
    assert refused.json()["error"]["message"] == (
        "this API key's quota of 0.5 cost in all has too little left for this"
    )
    assert (await setup.client.post(PATH, json=question(max_tokens=10), headers=key)).status_code == 200
    await setup.used(record, Amounts(requests=1, tokens=12, micros=COST))


async def test_a_daily_quota_says_when_it_starts_again(setup: Setup) -> None:
    key, _ = await setup.key(KeyLimits(quotas=(Quota(period=Period.DAY, tokens=20),)))
    message = (await setup.ask(key)).json()["error"]["message"]
    assert "quota of 20 tokens a day" in message
    assert message.endswith("00:00 UTC")


async def test_requests_at_once_never_pass_a_quota(setup: Setup) -> None:
    key, record = await setup.key(total(requests=5))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(setup.ask(key)) for _ in range(20)]
    statuses = [task.result().status_code for task in tasks]
    assert statuses.count(200) == 5
    assert statuses.count(429) == 15
    await setup.used(record, Amounts(requests=5, tokens=60, micros=5 * COST))


async def test_what_the_backend_refuses_costs_a_request_and_no_tokens(setup: Setup) -> None:
    key, record = await setup.key(total(requests=9, tokens=5000))
    setup.fake.push(error(400, "no"), error(500, "no"))
    assert (await setup.ask(key)).status_code == 400
    assert (await setup.ask(key)).status_code >= 500
    setup.fake.push(error(429, "no"))
    assert (await setup.ask(key)).status_code == 429
    await setup.used(record, Amounts(requests=3))


async def test_an_answer_that_may_be_billed_counts_as_reserved(setup: Setup) -> None:
    key, record = await setup.key(total(tokens=100_000))
    setup.fake.push(Drop())
    assert (await setup.ask(key)).status_code >= 500
    window = QuotaWindow(key_number=record.number, period="total", starts_at=0)
    async with asyncio.timeout(20):
        while True:
            used = await setup.quotas.used(window)
            if used.tokens < 1000:
                break
            await asyncio.sleep(0.01)
    assert used.requests == 1
    assert used.tokens > 50


async def test_answers_without_counts_are_estimated(setup: Setup) -> None:
    key, record = await setup.key(total(tokens=5000))
    body: dict[str, object] = {"choices": [{"index": 0, "message": {"content": "x" * 100}}]}
    setup.fake.push(Answer(body=body))  # type: ignore[arg-type]
    assert (await setup.ask(key)).status_code == 200
    window = QuotaWindow(key_number=record.number, period="total", starts_at=0)
    async with asyncio.timeout(20):
        while (await setup.quotas.used(window)).tokens > 200:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await setup.quotas.used(window)).tokens > 25


async def test_a_client_that_leaves_its_stream_is_counted(setup: Setup) -> None:
    key, record = await setup.key(total(requests=9, tokens=5000))
    gate = asyncio.Event()
    chunks = [sse({"model": "m", "choices": [{"index": 0, "delta": {"content": word}}]}) for word in "abc"]
    setup.fake.push(Stream(chunks=chunks, gate=gate))
    body = question(max_tokens=50, stream=True)
    async with setup.client.stream("POST", PATH, json=body, headers=key) as response:
        await anext(response.aiter_bytes())
    await setup.fake.until(lambda: setup.fake.left == 1)
    window = QuotaWindow(key_number=record.number, period="total", starts_at=0)
    async with asyncio.timeout(20):
        while (await setup.quotas.used(window)).requests != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        while (await setup.quotas.used(window)).tokens > 45:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await setup.quotas.used(window)).tokens > 10


async def test_leaving_a_stream_costs_what_came_however_little_was_told_of_it(setup: Setup) -> None:
    key, record = await setup.key(total(requests=9, tokens=5000))
    gate = asyncio.Event()
    told: JsonObject = {"prompt_tokens": 7, "completion_tokens": 1}
    chunks = [
        sse({"model": "m", "choices": [{"index": 0, "delta": {"content": "a"}}], **more})
        for more in ({"usage": told}, *[{}] * 30)
    ]
    setup.fake.push(Stream(chunks=[b"".join(chunks), b"data: [DONE]\n\n"], gate=gate))
    body = question(max_tokens=2, stream=True)
    seen = 0
    async with setup.client.stream("POST", PATH, json=body, headers=key) as response:
        async for piece in response.aiter_bytes():
            seen += piece.count(b"data:")
            if seen == len(chunks):
                break
    await setup.fake.until(lambda: setup.fake.left == 1)
    # the first frame is counted beside what it reports
    await setup.used(record, Amounts(requests=1, tokens=7 + 32, micros=7 * 1000 + 32 * 10_000))


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that examples were looked for with, in place of looking."""
    found: list[str] = []

    async def nearest(prompt: ServedPrompt, query: str, k: int | None) -> Nearest:
        found.append(query)
        return Nearest(examples=(LONG,), found_by="lexical")

    monkeypatch.setattr(ServedPrompt, "nearest", nearest)
    return found


@pytest.mark.parametrize("limits", [KeyLimits(requests_per_minute=1), total(requests=1)])
async def test_no_example_is_looked_for_in_a_request_that_is_refused(
    setup: Setup, searches: list[str], limits: KeyLimits
) -> None:
    await setup.align()
    key, _ = await setup.key(limits)
    assert [(await setup.ask(key)).status_code for _ in range(3)] == [200, 429, 429]
    assert len(searches) == 1
    assert len(setup.fake.requests) == 1


async def test_what_examples_add_is_reserved_as_well(setup: Setup, searches: list[str]) -> None:
    await setup.align()
    key, record = await setup.key(total(requests=9, tokens=2000))
    refused = await setup.ask(key)  # the question alone would fit
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert len(searches) == 1
    assert setup.fake.requests == []
    await setup.used(record, Amounts())
    roomy, other = await setup.key(
        dataclasses.replace(total(requests=9, tokens=9000, cost=100.0), tokens_per_minute=5000)
    )
    assert (await setup.ask(roomy)).status_code == 200
    await setup.used(other, Amounts(requests=1, tokens=12, micros=COST))
    again = await setup.ask(roomy)
    # 12 of the first are gone; the bound of the second, a quarter of a token a byte, is counted after it
    assert int(again.headers["x-ratelimit-remaining-tokens"]) > 4800


async def test_a_request_that_cannot_be_aligned_costs_nothing(setup: Setup) -> None:
    await setup.align()
    key, record = await setup.key(dataclasses.replace(total(requests=9, tokens=9000), tokens_per_minute=5000))
    body = question(prompt={"id": MODEL, "variables": {"nobody": "needs"}})
    assert (await setup.client.post(PATH, json=body, headers=key)).status_code == 400
    await setup.used(record, Amounts())
    assert setup.fake.requests == []


async def test_the_key_of_the_settings_knows_no_limits(setup: Setup) -> None:
    answer = await setup.client.post(PATH, json=question())
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
