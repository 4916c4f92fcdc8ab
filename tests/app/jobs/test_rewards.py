"""Jobs that are scored by what their request asks for."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.app.jobs.service import JobService, job, open_service, outcome
from tests.fakes.openai_server import Answer, Exchange, FakeOpenAIServer, Reply, serve

CRITIC = {"backend": "simulated", "model": "simulated-critic"}
PATIENCE = {"http_retries": {"max_attempts": 2, "first_wait_seconds": 0.001}}


def by_length(exchange: Exchange) -> Reply:
    """A scorer that likes long answers."""
    return Answer(
        body={"score": min(1.0, len(str(exchange.body["answer"])) / 600), "rationale": "as long as it is"}
    )


@pytest.fixture
async def judges(sqlite_url: str) -> AsyncIterator[JobService]:
    """A service with a second judge."""
    async with open_service(sqlite_url, judges={"strict": CRITIC}, rewards=PATIENCE) as opened:
        yield opened


@pytest.fixture
async def scorer() -> AsyncIterator[FakeOpenAIServer]:
    """A user's own scorer."""
    async with serve() as fake:
        fake.script = by_length
        yield fake


def http(scorer: FakeOpenAIServer, **fields: Any) -> dict[str, Any]:
    return {"url": scorer.url.removesuffix("/v1") + "/score", "scale": "0-1", "name": "Tone", **fields}


async def test_all_parts_are_in_every_evaluation_with_weight_and_source(
    judges: JobService, scorer: FakeOpenAIServer
) -> None:
    rewards = {
        "criteria": [{"name": "Brand Voice", "description": "Friendly and plain.", "weight": 2}],
        "weights": {"Clarity": 0},
        "checks": [
            {"name": "Short", "kind": "length", "max": 60, "soft": 60},
            {"name": "Code", "kind": "regex", "pattern": "def", "kinds": ["code"]},
        ],
        "judges": ["judge", "strict"],
        "http": http(scorer, weight=0.5),
    }
    found = await judges.run(rewards=rewards)
    assert found["status"] == "succeeded", found["error"]
    assert found["result"]["rewards"]["judges"] == {
        "judge": "simulated/simulated-critic",
        "strict": "simulated/simulated-critic",
    }
    assert found["result"]["rewards"]["scorer"] == f"scorer/{http(scorer)['url']}"
    evaluations = await judges.evaluations(found["id"])
    assert evaluations
    for evaluation in evaluations:
        told = {item["criterion"]: item for item in evaluation["criteria"]}
        assert (told["Brand Voice"]["weight"], told["Brand Voice"]["source"]) == (2, "judge")
        assert "spread" in told["Brand Voice"]
        assert (told["Short"]["source"], told["Tone"]["source"], told["Tone"]["weight"]) == (
            "check",
            "http",
            0.5,
        )
        assert ("Code" in told) is (evaluation["query"]["kind"] == "code")
        assert all(item["weight"] == 0 for name, item in told.items() if name == "Clarity")
        weighed = [(item["score"], item["weight"]) for item in told.values()]
        mean = sum(score * weight for score, weight in weighed) / sum(weight for _, weight in weighed)
        assert evaluation["reward"] == pytest.approx(mean)
        assert evaluation["models"]["rewards"]["rewards_version"]
    spent = found["usage"]["by_role"]
    assert spent["judge"]["calls"] == 2 * len(evaluations)
    assert spent["scorer"]["calls"] == len(scorer.requests) <= len(evaluations)
    assert (spent["scorer"]["prompt_tokens"], spent["scorer"]["cost"]) == (0, 0)
    candidates = await judges.candidates(found["id"])
    assert {"Brand Voice", "Short", "Tone"} <= {item["criterion"] for item in candidates[0]["criteria"]}


async def test_the_proposer_reads_what_a_check_says_and_not_what_has_no_weight(judges: JobService) -> None:
    sent: list[str] = []
    transport = judges.backend._inner
    original = transport.handle_async_request

    async def listen(request: Any) -> Any:
        sent.append(json.loads(await request.aread())["messages"][-1]["content"])
        return await original(request)

    transport.handle_async_request = listen  # type: ignore[method-assign]
    rewards = {
        "criteria": [{"name": "Brand Voice", "description": "Friendly.", "weight": 0}],
        "checks": [{"name": "Tiny", "kind": "length", "max": 3}],
    }
    found = await judges.run(rewards=rewards, held_out=0)
    assert found["status"] == "succeeded"
    proposals = [text for text in sent if text.startswith("## Current prompt")]
    assert proposals
    assert all("- Tiny: 1.0 of 5." in text and "at most 3 are asked for." in text for text in proposals)
    assert not any("Brand Voice" in text for text in proposals)


async def test_checks_alone_need_no_judge_and_no_selector(judges: JobService) -> None:
    rewards = {
        "catalogue": False,
        "checks": [
            {"name": "Short", "kind": "length", "max": 80, "soft": 80},
            {"name": "Warm", "kind": "regex", "pattern": "(?i)sorry|glad|happy"},
        ],
    }
    found = await judges.run(rewards=rewards)
    assert found["status"] == "succeeded"
    assert set(found["usage"]["by_role"]) == {"target", "proposer"}
    assert found["result"]["rewards"]["selections"] == {"selected": 11, "fallback": 0}


async def test_a_failed_gate_is_worth_1_and_costs_no_judgement(judges: JobService) -> None:
    rewards = {"checks": [{"name": "Never", "kind": "regex", "pattern": "^$", "required": True, "weight": 0}]}
    found = await judges.run(rewards=rewards, held_out=0)
    evaluations = await judges.evaluations(found["id"])
    assert {item["reward"] for item in evaluations} == {1.0}
    assert "judge" not in found["usage"]["by_role"]
    assert evaluations[0]["criteria"][0]["required"] is True


async def test_what_the_scorer_refuses_is_unscored_with_the_reason(
    judges: JobService, scorer: FakeOpenAIServer
) -> None:
    scorer.script = lambda _: Answer(status=422, body={"detail": "too rude"})
    found = await judges.run(rewards={"http": http(scorer)}, held_out=0)
    assert found["status"] == "succeeded"
    assert found["result"]["stop_reason"] == "too_many_unscored"
    reasons = {item["unscored_reason"] for item in await judges.evaluations(found["id"])}
    assert reasons == {'Tone: it answered 422: {"detail": "too rude"}'}


async def test_a_scorer_that_stays_away_fails_the_job_with_the_field(
    judges: JobService, scorer: FakeOpenAIServer
) -> None:
    scorer.script = lambda _: Answer(status=503)
    found = await judges.run(rewards={"http": http(scorer)})
    assert found["status"] == "failed"
    assert found["error"]["code"] == "backend_unavailable"
    assert "the scorer answered 503" in found["error"]["message"]
    assert found["usage"]["by_role"]["scorer"]["calls"] >= 2


async def test_a_judge_that_is_not_configured_any_more_fails_the_job(sqlite_url: str) -> None:
    async with open_service(sqlite_url, judges={"strict": CRITIC}, jobs={"max_running": 0}) as before:
        started = await before.start(rewards={"judges": ["strict"]})
    async with open_service(sqlite_url) as after:
        found = await after.finished(started)
    assert found["status"] == "failed"
    assert "add [judges.strict]" in found["error"]["message"]


async def test_without_rewards_a_job_is_what_it_was(sqlite_url: str, other_sqlite_url: str) -> None:
    """Weights of 1 for all and no other parts: the very same calls and the very same result."""
    async with open_service(sqlite_url) as plain:
        without = await outcome(plain, (await plain.run())["id"])
        asked = dict(plain.backend.requests)
    async with open_service(other_sqlite_url) as other:
        with_ones = await outcome(other, (await other.run(rewards={"weights": {"Safety": 1}}))["id"])
        assert dict(other.backend.requests) == asked
    assert [item["reward"] for item in without["evaluations"]] == [
        item["reward"] for item in with_ones["evaluations"]
    ]
    assert without["rankings"] == with_ones["rankings"]


def test_a_job_of_the_tests_has_no_rewards() -> None:
    assert "rewards" not in job()


async def test_a_replay_asks_neither_the_judges_nor_the_scorer(
    judges: JobService, scorer: FakeOpenAIServer
) -> None:
    source = await judges.run(rewards={"judges": ["judge", "strict"], "http": http(scorer)})
    asked = len(scorer.requests)
    judges.backend.requests.clear()
    response = await judges.post(f"/v1/optimizations/{source['id']}/replay", {"settings": {}})
    again = await judges.finished(str(response.json()["id"]))
    assert again["result"]["replay"]["complete"] is True
    assert (judges.backend.requests.total(), len(scorer.requests)) == (0, asked)
    first, second = [await outcome(judges, job["id"]) for job in (source, again)]
    assert first["evaluations"] == second["evaluations"]
    assert first["rankings"] == second["rankings"]
