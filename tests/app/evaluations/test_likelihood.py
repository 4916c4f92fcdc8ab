"""``POST /v1/evaluations/likelihood``."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.access.key_limits import KeyLimits, Period, Quota
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import BASE_MODEL, EXAMPLES, MODEL, Service, add_version, open_service, question
from tests.app.jobs.service import failure
from tests.app.jobs.service import open_service as open_simulated
from tests.fakes.openai_server import Exchange, Reply, error
from tests.fakes.scoring_server import echoes_texts, scores_texts

PATH = "/v1/evaluations/likelihood"
QUERY = "Why is the sky blue?"
ANSWER = "Small particles scatter short waves more."


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[Service]:
    async with open_service(sqlite_url, capabilities={"prompt_logprobs": True}) as opened:
        opened.fake.script = scores_texts
        yield opened


async def measured(service: Service, **changes: Any) -> dict[str, Any]:
    body = {"model": MODEL, "query": QUERY, "answer": ANSWER, "versions": [None], **changes}
    response = await service.client.post(PATH, json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def words_of(exchange: Exchange) -> list[Any]:
    turns: Any = exchange.body["messages"]
    return [turn["content"] for turn in turns]


async def test_an_answer_is_measured_under_each_version(service: Service) -> None:
    version = await add_version(service.resources.prompts, "Explain it to a child.")
    names = [None, "production", "1", version.id]
    found = await measured(service, versions=names)
    assert [item["name"] for item in found["data"]] == names
    assert [item["version"] for item in found["data"]] == [None, *[version.id] * 3]
    for item in found["data"]:
        assert item["tokens"] == len(ANSWER.split())
        assert item["logprob"] == pytest.approx(item["mean_logprob"] * item["tokens"])
        assert item["unscored_reason"] is None
    values = [item["logprob"] for item in found["data"]]
    assert values[1] == values[2] == values[3] != values[0]
    assert found["usage"] == {"calls": 4, "prompt_tokens": 28, "completion_tokens": 4, "cost": 0}


async def test_the_model_is_sent_what_it_is_sent_when_the_version_serves(service: Service) -> None:
    await add_version(service.resources.prompts, "Be kind.", examples=EXAMPLES)
    await measured(service, versions=["production"])
    served = await service.client.post("/v1/chat/completions", json=question(QUERY))
    assert served.status_code == 200
    asked, chat = service.fake.requests[-2:]
    assert words_of(asked) == [*words_of(chat), ANSWER]
    assert len(words_of(chat)) == 4


async def test_a_base_model_is_measured_on_the_text_that_it_completes(sqlite_url: str) -> None:
    async with open_service(sqlite_url, capabilities={"echo": True}) as service:
        service.fake.script = echoes_texts
        await add_version(service.resources.prompts, "Be kind.", model=BASE_MODEL)
        found = await measured(service, model=BASE_MODEL, versions=[None, "production"])
        prompts = [exchange.body["prompt"] for exchange in service.fake.requests]
    assert [item["tokens"] for item in found["data"]] == [len(ANSWER.split())] * 2
    assert sorted(str(prompt) for prompt in prompts) == [
        f"# Instruction:\nBe kind.\n\n# Query:\n{QUERY}\n\n# Answer:\n{ANSWER}",
        f"# Query:\n{QUERY}\n\n# Answer:\n{ANSWER}",
    ]


async def test_a_backend_that_does_not_tell_is_named(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        body = {"model": MODEL, "query": QUERY, "answer": ANSWER, "versions": [None]}
        refused = failure(await service.client.post(PATH, json=body), 400)
        assert service.fake.requests == []
    assert "prompt_logprobs" in refused["message"]
    assert refused["param"] == "model"


async def test_a_version_that_cannot_be_measured_says_why(service: Service) -> None:
    def script(exchange: Exchange) -> Reply:
        return error(400, "no kindness here") if "Be kind." in str(exchange.body) else scores_texts(exchange)

    service.fake.script = script
    await add_version(service.resources.prompts)
    found = await measured(service, versions=[None, "production"])
    assert [item["tokens"] is None for item in found["data"]] == [False, True]
    assert "no kindness here" in found["data"][1]["unscored_reason"]
    body = {"model": MODEL, "query": QUERY, "answer": ANSWER, "versions": ["production"]}
    assert "no kindness here" in failure(await service.client.post(PATH, json=body), 400)["message"]


async def test_what_does_not_exist_is_a_404_and_what_makes_no_sense_a_400(service: Service) -> None:
    body = {"model": MODEL, "query": QUERY, "answer": ANSWER, "versions": [None]}
    absent: list[Any] = [{"model": "nobody"}, {"versions": ["production"]}, {"versions": ["pv_1"]}]
    for changes in absent:
        failure(await service.client.post(PATH, json={**body, **changes}), 404)
    wrong: list[Any] = [{"answer": "  "}, {"query": ""}, {"versions": []}, {"versions": [None] * 9}]
    for changes in wrong:
        failure(await service.client.post(PATH, json={**body, **changes}), 400)
    assert service.fake.requests == []


async def test_a_key_pays_and_may_ask_its_models_alone(service: Service) -> None:
    limits = KeyLimits(quotas=(Quota(period=Period.DAY, requests=1),))
    key, _ = await add_key(service.resources.access.keys, "serve", limits=limits)
    body = {"model": MODEL, "query": QUERY, "answer": ANSWER, "versions": [None]}
    answers = [await service.client.post(PATH, json=body, headers=bearer(key)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    other, _ = await add_key(service.resources.access.keys, "serve", models=(BASE_MODEL,))
    assert (await service.client.post(PATH, json=body, headers=bearer(other))).status_code == 404


async def test_a_simulated_model_finds_its_own_words_likelier(sqlite_url: str) -> None:
    async with open_simulated(sqlite_url, jobs={"max_running": 0}) as service:
        turns = [{"role": "user", "content": QUERY}]
        own = await service.post("/v1/chat/completions", {"model": "simulated-small", "messages": turns})
        asked = {"model": "simulated-small", "query": QUERY, "versions": [None]}
        means = [
            (await service.post(PATH, {**asked, "answer": answer})).json()["data"][0]["mean_logprob"]
            for answer in (own.json()["choices"][0]["message"]["content"], "Xylophones hum quietly abroad.")
        ]
    assert means[0] > means[1] + 1
