"""``POST /v1/evaluations``."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.access.key_limits import KeyLimits, Period, Quota
from tests.app.access.stored_keys import add_key, bearer
from tests.app.jobs.service import JobService, failure, open_service

PATH = "/v1/evaluations"
QUERY = "How do I boil an egg?"
ANSWERS = ["Put it into boiling water for eight minutes.", "No idea."]


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[JobService]:
    """The application in process; no job runs."""
    async with open_service(sqlite_url, jobs={"max_running": 0}) as opened:
        yield opened


async def judged(service: JobService, **changes: Any) -> dict[str, Any]:
    response = await service.post(PATH, {"query": QUERY, "answers": ANSWERS, **changes})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_answers_are_judged_on_the_same_criteria_with_reasons(service: JobService) -> None:
    found = await judged(service)
    assert 2 <= len(found["criteria"]) <= 5
    for place, item in enumerate(found["data"]):
        assert (item["index"], item["unscored_reason"]) == (place, None)
        assert [verdict["criterion"] for verdict in item["criteria"]] == found["criteria"]
        assert all(1 <= verdict["score"] <= 5 and verdict["rationale"] for verdict in item["criteria"])
        scores = [verdict["score"] for verdict in item["criteria"]]
        assert item["reward"] == pytest.approx(sum(scores) / len(scores))
    assert found["usage"]["calls"] == 3
    assert found["usage"]["completion_tokens"] > 0


async def test_criteria_may_be_chosen_and_described(service: JobService) -> None:
    criteria = [{"name": "Clarity"}, {"name": "Salt", "description": "says how much salt to take"}]
    found = await judged(service, criteria=criteria)
    assert (found["criteria"], found["usage"]["calls"]) == (["Clarity", "Salt"], 2)
    for wrong in ([{"name": "Poetry"}], [{"name": "Clarity"}, {"name": "clarity"}], []):
        refused = await service.post(PATH, {"query": QUERY, "answers": ANSWERS, "criteria": wrong})
        assert failure(refused)["param"].startswith("criteria")
    odd = [{"name": "1. a", "description": "x"}, {"name": "Salt", "description": "\u200b"}]
    for item in odd:
        failure(await service.post(PATH, {"query": QUERY, "answers": ANSWERS, "criteria": [item]}))


async def test_equal_answers_are_judged_once_and_get_the_same(service: JobService) -> None:
    found = await judged(service, answers=[ANSWERS[0], ANSWERS[0]], criteria=[{"name": "Clarity"}])
    assert found["usage"]["calls"] == 1
    assert found["data"][0] == {**found["data"][1], "index": 0}


async def test_what_cannot_be_judged_is_unscored_with_the_reason(service: JobService) -> None:
    service.backend.replace = lambda role, number, text: "gibberish" if role == "judge" else None
    found = await judged(service)
    assert [item["reward"] for item in found["data"]] == [None, None]
    assert all("could not be read" in item["unscored_reason"] for item in found["data"])


async def test_a_key_pays_for_what_it_has_judged(service: JobService) -> None:
    limits = KeyLimits(quotas=(Quota(period=Period.DAY, requests=1),))
    key, _ = await add_key(service.resources.access.keys, "serve", limits=limits)
    body = {"query": QUERY, "answers": ANSWERS}
    first = await service.client.post(PATH, json=body, headers=bearer(key))
    assert first.status_code == 200, first.text
    second = await service.client.post(PATH, json=body, headers=bearer(key))
    assert second.status_code == 429
    await service.resources.access.recorder.flush()
    usage = (await service.client.get("/v1/usage", headers=bearer(key))).json()["data"]
    used = first.json()["usage"]
    assert [(item["requests"], item["completion_tokens"]) for item in usage] == [
        (1, used["completion_tokens"])
    ]


async def test_a_request_that_makes_no_sense_is_refused(service: JobService) -> None:
    for body, param in (
        ({"query": "", "answers": ["a"]}, "query"),
        ({"query": "q", "answers": []}, "answers"),
        ({"query": "q", "answers": ["a"] * 9}, "answers"),
        ({"query": "q", "answers": ["a"], "judge": "nobody"}, "judge"),
    ):
        assert failure(await service.post(PATH, body))["param"] == param
